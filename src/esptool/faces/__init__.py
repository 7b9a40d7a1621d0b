# SPDX-License-Identifier: Apache-2.0
"""Parts of the documented loader object, one file a subject. Each method hands on to a session.

Programs import them through `esptool.loader` and `esptool.targets`.
"""
