# SPDX-License-Identifier: Apache-2.0
"""Settings for the whole suite.

Tests of the host's side talk to a model of the stub, which is quick. Those of `tests/firmware`
execute the stub's machine code, and hold the model to the same answers.
"""

from __future__ import annotations

import os

os.environ.setdefault("ESPTOOL_VIRTUAL_STUB", "model")
