# SPDX-License-Identifier: Apache-2.0
"""Runs in the public tool's environment: many of its command lines in one process.

Reads one JSON list of arguments a line, answers with [exit code, stdout, stderr] in JSON.
"""

import contextlib
import io
import json
import sys

import esptool

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            esptool.main(json.loads(line))
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except Exception as e:
            code = 2
            print(repr(e), file=err)
    print(json.dumps([code, out.getvalue(), err.getvalue()]), file=sys.__stdout__, flush=True)
