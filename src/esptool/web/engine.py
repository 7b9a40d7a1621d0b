# SPDX-License-Identifier: Apache-2.0
"""What a web page can ask for: one method a wish. Plain values in, plain values out.

It is the page's command line: it calls `ops` and knows no browser, so that it is tested anywhere.
Errors are `FatalError`; what goes on is told as events.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from esptool import chips, device, ops
from esptool.builds.find import Found, find_build
from esptool.errors import FatalError, NotSupportedError, UsageError
from esptool.events import Connecting, Event
from esptool.ops.places import DeviceFlash
from esptool.ops.security import security_state
from esptool.transport.bridges import ESPRESSIF
from esptool.transport.browser import BrowserPort, Channel
from esptool.web import manifest as manifests
from esptool.web.console import Terminal
from esptool.web.values import (
    Registers,
    as_data,
    chip_facts,
    page_words,
    without_options,
    written,
)
from esptool.web.wifi import Wifi

if TYPE_CHECKING:
    from esptool.ops.flash_build import BuildPlan
    from esptool.web.burning import Burning

#: The ROM is called at this rate.
CALL_BAUD = 115200
#: A part of an image: flash offset, content, and its name for messages.
Part = tuple[int, bytes, str]


class Cancelled(FatalError):  # noqa: N818 - a wish, not a fault
    """The person has asked to stop."""


class Engine:
    """One page's work: at most one chip, one wish at a time.

    Args:
        tell: takes each event as plain values.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._folder: str | None = None
        self._found: Found | None = None
        self._elves: list[str] = []
        self._port: BrowserPort | None = None
        self._terminal: Terminal | None = None
        self._session: device.Session | None = None
        self.wifi = Wifi(self.disconnect)
        self._burning: Burning | None = None
        self.stopped = False

    def begin(self) -> None:
        """A wish begins: what stopped the one before is no wish of this one."""
        self.stopped = False

    def failure(self, error: FatalError) -> dict[str, str]:
        """An error as the page shows it: what happened, what to do, and its kind."""
        return {
            "error": self._words(error.message),
            "remedy": without_options(self._words(error.remedy or "")),
            "kind": type(error).__name__,
        }

    def _words(self, text: str) -> str:
        return page_words(text, self._folder)

    def _listen(self, event: Event) -> None:
        data = as_data(event)
        if data is not None:
            if "text" in data:
                data["text"] = self._words(data["text"])
            self._tell(data)
        if self.stopped and not isinstance(event, Connecting):
            self.stopped = False
            raise Cancelled("Stopped, as you wished.", remedy="What was begun is not complete.")

    # --- connecting ----------------------------------------------------------------------------

    def connect(
        self, channel: Channel, baud: int = 460800, chip: str | None = None
    ) -> dict[str, Any]:
        """Connect to the chip at the other end, and tell what it is.

        Args:
            channel: the way to it.
            baud: the rate to go to where the line has one.
            chip: the chip that is expected.

        Raises:
            FatalError: it cannot be opened, or nothing answers; the remedy says what to do.
        """
        self.disconnect()
        port = BrowserPort(channel, CALL_BAUD)
        port.open()
        try:
            session = device.connect(port, chip=chip, baud=CALL_BAUD, listener=self._listen)
            session.wanted_baud = baud
            if not session.secure_download:
                _ = session.facts.crystal_mhz  # measured with the clocks as the ROM set them
                session.run_stub()
                if session.is_stub:
                    session.facts.prefetch()
            try:
                session.settle_rate(baud)
            except NotSupportedError as e:
                session.note(e.message)
            ops.attach_flash(session)
        except BaseException:
            port.close()
            raise
        self._session = session
        return self.facts()

    @property
    def session(self) -> device.Session:
        """The chip.

        Raises:
            UsageError: none is connected.
        """
        if self._session is None:
            raise UsageError("No board is connected.", remedy="Connect one first.")
        return self._session

    def disconnect(self) -> None:
        """Let go of the port; the chip is left as it is."""
        session, self._session = self._session, None
        port, self._port = self._port, None
        self.wifi.close()
        if session is not None:
            session.close()
        if port is not None:
            port.close()

    def diagnose(self, channel: Channel) -> list[dict[str, str]]:
        """Why a board does not answer: level, text and remedy of each of the doctor's findings.

        It resets the chip and reads; flash and eFuses stay as they are.

        Raises:
            FatalError: the port cannot be opened.
        """
        from esptool.ops import doctor
        from esptool.transport.settings import Settings

        self.disconnect()
        found: list[doctor.Finding] = []
        port = BrowserPort(channel, CALL_BAUD)
        port.open()
        try:
            doctor.examine(
                port, None, None, "default-reset", True, Settings(), found.append, self._listen
            )
        finally:
            port.close()
        return [
            {"level": f.level, "text": f.text, "remedy": without_options(f.remedy)} for f in found
        ]

    def reset(self) -> None:
        """Start the application in flash, and let go of the port."""
        try:
            ops.reset_chip(self.session, "hard-reset", listener=self._listen)
        finally:
            self.disconnect()

    def facts(self) -> dict[str, Any]:
        """What is known of the chip."""
        return chip_facts(self.session)

    # --- installing ----------------------------------------------------------------------------

    def parts_for_chip(self, text: str | bytes) -> list[dict[str, Any]]:
        """What a manifest puts on the connected chip: offset and path of each file.

        Raises:
            ImageError: it has nothing for this chip.
        """
        build = manifests.parse(text).build_for(self.session.spec.key)
        return [{"path": part.path, "offset": part.offset} for part in build.parts]

    def take(self, files: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        """Files that a visitor brings: a merged image, a bundle, or the images of a build.

        They take the place of those that were taken before.

        Raises:
            FatalError: they are nothing that could be flashed, or do not go together.
        """
        self._found = None
        self._found = found = find_build([self._kept(name, data) for name, data in files])
        build = found.build
        return {
            "kind": build.kind,
            "chip": chips.get(build.chip).name if build.chip else None,
            "name": " ".join(filter(None, (build.project, build.version))),
            "notes": [self._words(note) for note in build.notes],
            "parts": [
                {"name": os.path.basename(p.name), "offset": p.offset, "size": len(p.data)}
                for p in build.parts
            ],
        }

    def _kept(self, name: str, data: bytes) -> str:
        """A file of the visitor's, under its own name in a folder of its own."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="esptool-page-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = os.path.join(self._folder, os.path.basename(name) or "file")
        with open(path, "wb") as out:
            out.write(data)
        return path

    def plan(self) -> list[str]:
        """What would be written where, of the files that were taken; nothing is changed.

        Raises:
            FatalError: they are for another chip, or do not fit it.
        """
        return [self._words(line) for line in self._planned(erase=False).describe()]

    def _planned(self, *, erase: bool) -> BuildPlan:
        from esptool.ops.flash_build import FlashOptions, plan_build

        if self._found is None:
            raise UsageError("No file was chosen.")
        options = FlashOptions(write=ops.WriteOptions(erase_all=erase))
        return plan_build(self.session, self._found, options, listener=self._listen)

    def install_taken(self, *, erase: bool = False) -> dict[str, Any]:
        """Write the files that were taken and verify them; as `install`.

        Raises:
            FatalError: refused or failed; names what is not written.
        """
        from esptool.ops.flash_build import flash_build

        plan = self._planned(erase=erase)
        return written(flash_build(self.session, plan, listener=self._listen))

    def install(
        self, parts: Sequence[Part], *, erase: bool = False, anyway: bool = False
    ) -> dict[str, Any]:
        """Write files to flash and verify them; where less than all differs, only that is sent.

        Args:
            parts: what belongs where.
            erase: erase all of the flash first.
            anyway: also firmware for another chip.

        Returns:
            Bytes written, bytes sent, seconds, and the same for each file.

        Raises:
            FatalError: refused or failed; names what is not written.
        """
        from esptool.ops.flash_build_checks import refuse_images_of_others

        session = self.session
        regions = [ops.Region(offset, data, name) for offset, data, name in parts]
        state = security_state(session)
        if not anyway:
            refuse_images_of_others(session.spec, regions)
        # What guards a secured chip stays on: nobody is asked for more than the other chip.
        options = ops.WriteOptions(erase_all=erase, force=anyway and not state.active)
        return written(
            ops.write_flash(session, regions, options, security=state, listener=self._listen)
        )

    # --- flash ---------------------------------------------------------------------------------

    def _flash(self) -> DeviceFlash:
        return DeviceFlash(self.session, listener=self._listen)

    def partitions(self) -> dict[str, Any]:
        """The partition table and what is in each partition.

        Raises:
            FatalError: there is no table.
        """
        from esptool.ops.partition_map import partition_map

        flash = self._flash()
        found = partition_map(flash, flash_size=flash.limit.size)
        data = found.to_json()
        rows: Any = data["partitions"]
        for row, use in zip(rows, found.uses, strict=True):
            row["describe"] = use.describe()
        return data

    def read(self, address: int, size: int) -> bytes:
        """Read flash; -1 as the size is all that follows.

        Raises:
            FatalError: the range is not within the flash, or the chip was lost.
        """
        data = ops.read_flash(self.session, address, size, listener=self._listen)
        assert data is not None
        return data

    def erase(self, address: int | None = None, size: int | None = None) -> None:
        """Erase whole sectors, or all of the flash where no address is given.

        Raises:
            FatalError: refused or failed.
        """
        if address is None:
            ops.erase_flash(self.session, listener=self._listen)
        else:
            ops.erase_region(
                self.session, address, -1 if size is None else size, listener=self._listen
            )

    def verify(self, parts: Sequence[Part]) -> None:
        """Compare flash with files.

        Raises:
            VerifyError: it differs.
        """
        regions = [ops.Region(offset, data, name) for offset, data, name in parts]
        ops.verify_flash(self.session, regions, diff=False, listener=self._listen)

    def security(self) -> dict[str, Any]:
        """What the chip says of its security.

        Raises:
            FatalError: it has no such request (ESP8266, ESP32).
        """
        report = ops.security_info(self.session, listener=self._listen)
        return {"flags": dict(report.flag_names), "secure_boot": report.secure_boot}

    # --- what is in flash ------------------------------------------------------------------------

    def nvs(self, partition: str, keys: bytes | None = None) -> dict[str, Any]:
        """What an NVS partition stores.

        Args:
            keys: of an encrypted one: a key partition, the 64 bytes of its keys, or the 32 bytes
                of an HMAC key. They are forgotten when this is done.

        Raises:
            FatalError: it holds none, or is encrypted with other keys.
        """
        from esptool.ops.nvs import keys_from_bytes, read_nvs

        place = self._flash().place(partition)
        nvs = read_nvs(place, None if keys is None else keys_from_bytes(keys))
        return {
            "pages": len(nvs.pages),
            "used": nvs.used_entries,
            "free": nvs.free_entries,
            "entries": [
                {
                    "namespace": e.namespace,
                    "key": e.key,
                    "type": e.kind.value,
                    "value": e.value.hex() if isinstance(e.value, bytes) else e.value,
                }
                for e in nvs.entries()
            ],
            "problems": [str(p) for p in nvs.problems],
        }

    def files(self, partition: str) -> dict[str, Any]:
        """The files of a partition.

        Raises:
            FatalError: it holds no file system that is known here.
        """
        from esptool.ops.file_systems import open_file_system

        fs = open_file_system(self._flash().place(partition))
        usage = fs.usage()
        return {
            "type": fs.kind,
            "total": usage.total,
            "used": usage.used,
            "free": usage.free,
            "entries": [{"path": e.path, "folder": e.is_dir, "size": e.size} for e in fs.entries()],
        }

    def file(self, partition: str, path: str) -> bytes:
        """The content of a file.

        Raises:
            FatalError: there is none of that name.
        """
        from esptool.ops.file_systems import open_file_system

        return open_file_system(self._flash().place(partition)).read(path)

    def efuses(self) -> dict[str, Any]:
        """All eFuses by category, as `espefuse summary` shows them; nothing is changed.

        Raises:
            FatalError: they cannot be read.
        """
        from espefuse import schema, summary
        from espefuse._index import CHIP_NAMES
        from espefuse.efuses import Efuses

        session = self.session
        key = session.spec.key
        if session.secure_download:
            raise UsageError("In Secure Download Mode eFuses cannot be read.")
        if key not in CHIP_NAMES:
            raise NotSupportedError(f"The eFuses of {session.spec.name} are not known here.")
        rules = schema.revision_rules(key)
        table = schema.load(key, session.facts.revision if rules else None)
        notes: list[str] = []
        efuses = Efuses(table, Registers(session), emit=notes.append, warn=notes.append)
        return {"fields": [summary.entry(f) for f in efuses], "notes": notes}

    @property
    def burning(self) -> Burning:
        """What burns eFuses.

        Raises:
            NotSupportedError: the page is made without it.
        """
        if self._burning is None:
            try:
                from esptool.web.burning import Burning
            except ImportError:
                raise NotSupportedError(
                    "This page only reads eFuses: it is made without what burns them.",
                    remedy="Burn them with espefuse on a computer.",
                ) from None
            self._burning = Burning(lambda: self.session)
        return self._burning

    # --- console -------------------------------------------------------------------------------

    def elf(self, data: bytes, name: str) -> None:
        """The program that runs, for names of addresses in what it prints.

        Raises:
            ImageError: it is not an ELF file.
        """
        path = self._kept(name, data)
        Terminal([path])  # reads it
        self._elves = [path]

    def console(self, channel: Channel, baud: int = CALL_BAUD, reset: bool = False) -> None:
        """Listen to what the chip prints; `heard` gives it.

        Raises:
            FatalError: the port cannot be opened.
        """
        self.disconnect()
        port = BrowserPort(channel, baud)
        port.open()
        self._terminal = Terminal(self._elves)
        self._port = port
        if reset:
            from esptool.transport import reset as resets

            resets.play(port, resets.hard(port.usb is not None and port.usb.vid == ESPRESSIF))

    def heard(self, wait_s: float = 0.1) -> list[dict[str, str]]:
        """What the chip has printed, and explanations; see `console.Terminal.feed`.

        Raises:
            PortError: the port is gone.
        """
        if self._port is None or self._terminal is None:
            raise UsageError("No console is open.")
        return self._terminal.feed(self._port.receive(wait_s))

    def typed(self, text: str) -> None:
        """Send what a person types.

        Raises:
            PortError: the port is gone.
        """
        if self._port is not None:
            self._port.send(text.encode())

    def image(self, data: bytes, name: str) -> dict[str, Any]:
        """What is in an image; needs no chip.

        Raises:
            ImageError: it is none.
        """
        from esptool.image.jobs import describe

        return describe(data) | {"file": name, "size": len(data)}
