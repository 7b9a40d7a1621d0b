# SPDX-License-Identifier: Apache-2.0
"""Prints the oldest versions of all that the package may be installed with, as pins for pip.

They are the minimums of `pyproject.toml`: of the dependencies, and of the extras for signing by HSM
and for the virtual chip. `make test-oldest` runs a quick part of the tests with them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

EXTRAS = ("emulator", "hsm")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)>=(?P<least>[\w.]+)")


def pins(pyproject: Path) -> list[str]:
    """ "name==version" of each requirement.

    Raises:
        ValueError: one has no minimum, so that nobody knows with which version it works.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        from pip._vendor import tomli as tomllib
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    found = []
    for text in wanted:
        match = _REQUIREMENT.match(text)
        if match is None:
            raise ValueError(f"'{text}' has no minimum: write it as name>=version.")
        found.append(f"{match['name']}=={match['least']}")
    return found


if __name__ == "__main__":
    print(" ".join(pins(Path(__file__).parents[1] / "pyproject.toml")))
