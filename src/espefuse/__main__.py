# SPDX-License-Identifier: Apache-2.0
"""`python -m espefuse`."""

from espefuse import _main

if __name__ == "__main__":
    _main()
