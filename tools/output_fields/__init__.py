# SPDX-License-Identifier: Apache-2.0
"""The fields of `--json` and `--events`: the tables that `gen_output_schema.py` makes files of.

Kinds: int, number, bool, text, hex (pairs of lower-case digits), mac, object, any; a name of
OBJECTS; `?` behind one may be null; `[kind]` is a list; `a|b` either. `~` behind a field of an
object: it may be absent. Sizes, offsets and addresses are bytes.
"""

from __future__ import annotations

Kind = str
Fields = dict[str, tuple[Kind, str]]
