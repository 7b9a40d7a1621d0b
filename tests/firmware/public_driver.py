# SPDX-License-Identifier: Apache-2.0
"""Runs in the public tool's environment: one command line, with the stub files of a folder.

python public_driver.py FOLDER ARGUMENT...
"""

import sys

import esptool
import esptool.loader

esptool.loader.StubFlasher.STUB_DIR = sys.argv[1]
esptool.main(sys.argv[2:])
