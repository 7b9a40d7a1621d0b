# SPDX-License-Identifier: Apache-2.0
"""Lets this folder stand in for a package folder that holds `esptool.py` (PlatformIO's
`tool-esptoolpy`): as a script it runs the tool, and imported from this folder it is the package.

Nothing of it is installed. A Python that is started in this folder finds it before its own
packages: then whatever `esptool` it has itself comes first.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_SOURCES = os.path.join(_HERE, "src")
_BY_CHANCE = os.getcwd() == _HERE and (__name__ != "__main__" or __spec__ is not None)

_path = sys.path[:]
_others = [place for place in _path if os.path.abspath(place or os.curdir) != _HERE]
sys.path[:] = [*_others, _SOURCES] if _BY_CHANCE else [_SOURCES, *_others]
if __name__ == "__main__":
    from esptool import _main

    _main()
else:
    # Import again; whoever asked gets what is there then.
    del sys.modules[__name__]
    try:
        __import__(__name__)
    finally:
        sys.path[:] = [*_path, _SOURCES]
