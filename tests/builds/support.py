# SPDX-License-Identifier: Apache-2.0
"""A desk for the tests of builds: the command line in this process, and virtual boards."""

from __future__ import annotations

from itertools import count

import pytest

import esptool
from esptool.errors import FatalError
from esptool.virtual.board import NAMED

_number = count()
#: A key for flash encryption: its block 4, its purpose XTS_AES_128_KEY.
KEY = ",".join(f"{0x6000889C + 4 * i:#x}:{0x11223344 * (i + 1) & 0xFFFFFFFF:#x}" for i in range(8))
DEVELOPMENT = f"purpose0:4,crypt_count:1,{KEY}"
RELEASE = f"{DEVELOPMENT},no_manual_encrypt:1"


class Desk:
    """One virtual board, and the command line with it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], chip: str, **options: str) -> None:
        self._capsys = capsys
        self.name = f"desk-{next(_number)}"
        more = "".join(f"&{key}={value}" for key, value in options.items())
        self.url = f"virtual://{chip}?name={self.name}&stub=model{more}"

    def __call__(self, *words: str) -> str:
        """What a command line prints, warnings included."""
        self._capsys.readouterr()
        esptool.main(["--port", self.url, *words])
        out, err = self._capsys.readouterr()
        return out + err

    def refused(self, *words: str) -> str:
        """The text of the error with which a command ends; flash is as it was."""
        before = self.flash()
        with pytest.raises(FatalError) as caught:
            self(*words)
        assert self.flash() == before
        self._capsys.readouterr()
        return str(caught.value)

    def flash(self, address: int = 0, size: int = 4 << 20) -> bytes:
        """What is in flash; blank where there was no board yet."""
        board = NAMED.get(self.name)
        return b"\xff" * size if board is None else bytes(board.nor.cells.read(address, size))

    def load(self, files: dict[int, bytes]) -> None:
        """Put bytes into flash."""
        if self.name not in NAMED:
            self("flash-id")
        content = bytearray(self.flash())
        for at, data in files.items():
            content[at : at + len(data)] = data
        NAMED[self.name].nor.cells.load(bytes(content))
