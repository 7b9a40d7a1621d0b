# SPDX-License-Identifier: Apache-2.0
"""What lies in flash beside code: partition tables, OTA data, NVS, file systems.

Bytes in, values out: nothing here knows a chip, opens a port or a file.
"""
