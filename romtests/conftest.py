# SPDX-License-Identifier: Apache-2.0
"""What both kinds of tests use stands in `tests/support`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
