# SPDX-License-Identifier: Apache-2.0
"""`python -m esp_rfc2217_server`."""

from esp_rfc2217_server import _main

if __name__ == "__main__":
    _main()
