# SPDX-License-Identifier: Apache-2.0
"""Runs inside the public tool's environment: a line of JSON asks for commands, a line answers.

Each command is served by a fork of this process, so the tool is imported once and keeps no state.
"""

import contextlib
import io
import json
import os
import sys
from typing import Any

os.environ.update(NO_COLOR="1", COLUMNS="120", TERM="dumb")

import espefuse


def one(args: list[str]) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            espefuse.main(args)
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except BaseException as e:
            code = 2
            err.write(f"{type(e).__name__}: {e}")
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def forked(args: list[str]) -> Any:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read_end)
        with os.fdopen(write_end, "w") as pipe:
            pipe.write(json.dumps(one(args)))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


def serve() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps([forked(args) for args in json.loads(line)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
