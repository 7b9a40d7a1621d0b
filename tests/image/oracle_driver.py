# SPDX-License-Identifier: Apache-2.0
"""Runs in the public tool's environment: answers JSON lines about images, many in one process.

A request is {"call": name, ...}; an answer {"ok": ..., "text": printed} or {"error": text}.
Bytes travel in base64.
"""

import base64
import contextlib
import io
import json
import os
import sys


def encode(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return [encode(v) for v in value]
    return value


def elf2image(request):
    from esptool.cmds import elf2image

    options = dict(request["options"])
    if "version" in options:
        options["version"] = str(options["version"])
    return encode(elf2image(request["elf"], request["chip"], None, **options))


def merge_bin(request):
    from esptool.cmds import merge_bin

    pairs = [(a, base64.b64decode(d)) for a, d in request["pairs"]]
    output = request.get("output")
    result = merge_bin(pairs, request["chip"], output, **request["options"])
    if output:
        with open(output, "rb") as f:
            result = f.read()
        os.unlink(output)
    return encode(result)


def image_info(request):
    from esptool.cmds import image_info

    image_info(base64.b64decode(request["image"]), request["chip"])


CALLS = {"elf2image": elf2image, "merge_bin": merge_bin, "image_info": image_info}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that a library prints may mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        text = io.StringIO()
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                answer = {"ok": CALLS[request["call"]](request)}
        except BaseException as e:
            answer = {"error": f"{type(e).__name__}: {e}"}
        answer["text"] = text.getvalue()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
