# SPDX-License-Identifier: Apache-2.0
"""Lets this folder stand in for a package folder that holds `esptool.py` (PlatformIO's
`tool-esptoolpy`): as a script it runs the tool, and imported from this folder it is the package.

Nothing of it is installed.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_SOURCES = os.path.join(_HERE, "src")
_PLACES = [os.path.abspath(place or os.curdir) for place in sys.path]

# In front of this folder, by which this file was found: so the package is found before it.
sys.path.insert(_PLACES.index(_HERE) if _HERE in _PLACES else 0, _SOURCES)

if __name__ == "__main__":
    from esptool import _main

    _main()
else:
    # Import again, by the path that leads to the package now; whoever imports gets what is there.
    del sys.modules[__name__]
    __import__(__name__)
