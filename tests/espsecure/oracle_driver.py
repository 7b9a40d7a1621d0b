# SPDX-License-Identifier: Apache-2.0
"""Runs in the public tool's environment: many of its command lines in one process.

Reads one JSON list of arguments a line, answers with one JSON object a line.
"""

import contextlib
import io
import json
import sys

import espsecure

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    code, error = 0, ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            espsecure.main(json.loads(line))
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except RuntimeError as e:
            code, error = 2, str(e)
        except Exception as e:
            code, error = 1, repr(e)
    answer = {"code": code, "out": out.getvalue(), "err": err.getvalue() + error}
    print(json.dumps(answer), file=sys.__stdout__, flush=True)
