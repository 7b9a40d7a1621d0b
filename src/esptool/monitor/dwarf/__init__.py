# SPDX-License-Identifier: Apache-2.0
"""Debug information (DWARF 2 to 5): which function, file and line belong to an address.

Reads only what an address needs: the compilation unit that it lies in. Source: DWARF Debugging
Information Format, versions 4 and 5.
"""

from esptool.monitor.dwarf.info import DebugInfo as DebugInfo
from esptool.monitor.dwarf.info import Place as Place
