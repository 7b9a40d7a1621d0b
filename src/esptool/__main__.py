# SPDX-License-Identifier: Apache-2.0
"""`python -m esptool`."""

from esptool import _main

if __name__ == "__main__":
    _main()
