# SPDX-License-Identifier: Apache-2.0
"""`python -m espsecure`."""

from espsecure import _main

if __name__ == "__main__":
    _main()
