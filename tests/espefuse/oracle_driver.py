# SPDX-License-Identifier: Apache-2.0
"""Runs inside the public tool's environment: a line of JSON asks for commands, a line answers.

Each command is served by a fork of this process, so the tool is imported once and keeps no state.
What it knows of eFuses are YAML files, which it parses three times a command, in nearly all of its
time: here each is parsed once, and every call gets a copy of its own.
"""

import contextlib
import io
import json
import os
import pickle
import sys
from typing import Any

os.environ.update(NO_COLOR="1", COLUMNS="120", TERM="dumb")

import yaml

import espefuse

#: Documents that have been parsed, by their texts.
PARSED: dict[str, bytes] = {}
PARSE = yaml.safe_load


def parse(stream: Any) -> Any:
    text = stream if isinstance(stream, str) else stream.read()
    if text not in PARSED:
        PARSED[text] = pickle.dumps(PARSE(text))
    return pickle.loads(PARSED[text])


yaml.safe_load = parse


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
        known = set(PARSED)
        with os.fdopen(write_end, "w") as pipe:
            answer = one(args)
            new = [text for text in PARSED if text not in known]
            pipe.write(json.dumps([answer, new]))
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer, new = json.loads(pipe.read())
    os.waitpid(pid, 0)
    for text in new:
        parse(text)
    return answer


def serve() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps([forked(args) for args in json.loads(line)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
