# SPDX-License-Identifier: Apache-2.0
"""Moving bytes between this computer and flash: what the jobs in `esptool.ops` share.

Segments are packed, sent, received and hashed here, with one policy for what happens when the line
or the chip is lost on the way.
"""
