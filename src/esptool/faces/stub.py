# SPDX-License-Identifier: Apache-2.0
"""Stubs: read from folders of stub files, started, and the classes that programs know."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from esptool import chips, stubs
from esptool.errors import FatalError
from esptool.faces.base import FaceBase, WriteSize
from esptool.faces.constants import TROUBLESHOOTING_GUIDE_URL

#: A loader object, whatever class of ours or of a program it has.
Loader = TypeVar("Loader", bound=FaceBase)

#: Holds the built-in stubs as `2/<chip>.json`: installers and tests of plug-ins look there.
_STUB_DATA = str(stubs.DATA.with_name("public"))


class StubFlasher:
    """A stub, read from a folder of stub files in the public JSON format.

    Args:
        target: the chip: its name, its class, or a loader object.
        plugins: names of plug-ins to link into the stub.

    `STUB_DIR` may be pointed at another folder (with files in it, or in the sub-folders
    `STUB_SUBDIRS`, newest first); as it is, the built-in stubs are used.

    Raises:
        FatalError: there is no such stub, or it has no such plug-in.
    """

    STUB_DIR: ClassVar[str] = _STUB_DATA
    STUB_SUBDIRS: ClassVar[list[str]] = ["2", "1"]
    STUB_VERSION_EXPLICIT: ClassVar[bool] = False

    def __init__(self, target: Any, plugins: list[str] | None = None) -> None:
        stub = self.find(target).with_plugins(plugins or ())
        self.stub = stub
        self.text = stub.text
        self.text_start = stub.text_start
        self.entry = stub.entry
        self.data = stub.data or None
        self.data_start = stub.data_start
        self.bss_start = stub.bss_start
        self.plugin_segments = list(stub.segments)

    @classmethod
    def is_built_in(cls) -> bool:
        """`STUB_DIR` is as it was: the stubs that come with the tool are used."""
        return cls.STUB_DIR == _STUB_DATA

    @classmethod
    def find(cls, target: Any) -> stubs.Stub:
        """The stub file of a chip, without plug-ins."""
        name = target if isinstance(target, str) else target.CHIP_NAME
        name = chips.normalize(name)
        if cls.is_built_in():
            return stubs.load(name)
        return stubs.load_dir(cls.STUB_DIR, name, cls.STUB_SUBDIRS)

    @classmethod
    def set_stub_subdir(cls, subdir: str) -> None:
        """Choose among the stub generations of the public tool; ours serves for both.

        Raises:
            FatalError: no such generation.
        """
        if subdir not in ("1", "2"):
            raise FatalError(f"Unknown stub version '{subdir}'. Use 1 or 2.")
        cls.STUB_SUBDIRS = [subdir]
        cls.STUB_VERSION_EXPLICIT = True


class StubMixin(FaceBase):
    """The first base of the classes of chips with a running stub (`ESP32StubLoader`, ...).

    A loader object takes on such a class when its stub starts. Wrappers derive from them, to set
    a smaller `FLASH_WRITE_SIZE`, or make one of a loader object.
    """

    FLASH_WRITE_SIZE = WriteSize(0x4000)

    def __init__(self, rom_loader: Any) -> None:
        self.__dict__.update(rom_loader.__dict__)
        self._take(rom_loader.session)

    def stub_json_name(self) -> str:
        """Name of the stub's file."""
        return f"{chips.normalize(self.CHIP_NAME)}.json"


def with_stub(esp: Loader) -> Loader:
    """The object as one of its chip's stub class."""
    cls = type(esp).STUB_CLASS
    if cls is None or isinstance(esp, cls):
        return esp
    if cls.__init__ is StubMixin.__init__:
        esp.__class__ = cls
        return esp
    made: Loader = cls(esp)  # a program's own class, which sets up something more
    return made


def run_foreign_stub(esp: FaceBase, stub: Any) -> None:
    """Start a stub of the caller's own: any object with the attributes of a `StubFlasher`."""
    parts = [(stub.text_start, stub.text), (stub.data_start, stub.data)]
    for address, data in [*parts, *getattr(stub, "plugin_segments", [])]:
        if data:
            esp._upload_segment(data, address)
    esp.mem_finish(stub.entry)
    try:
        greeting = esp.read()
    except FatalError as e:
        raise FatalError(
            "Failed to start stub flasher: it did not answer. "
            f"For troubleshooting steps visit: {TROUBLESHOOTING_GUIDE_URL}"
        ) from e
    if greeting != b"OHAI":
        raise FatalError(
            f"Failed to start stub flasher. Unexpected response: {greeting.hex()}. "
            f"For troubleshooting steps visit: {TROUBLESHOOTING_GUIDE_URL}"
        )
    esp.session.adopt_stub()
