# SPDX-License-Identifier: Apache-2.0
"""What a web page can ask for: one method a wish. Plain values in, plain values out.

It is the page's command line: it calls `ops` and knows no browser, so that it is tested anywhere.
Errors are `FatalError`; what goes on is told as events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from esptool import chips, device, ops
from esptool._version import __version__
from esptool.errors import FatalError, ImageError, NotSupportedError, UsageError
from esptool.events import Connecting, Event, Message, Progress, Stage
from esptool.ops.identity import format_mac
from esptool.ops.places import DeviceFlash
from esptool.transport.browser import BrowserPort, Channel
from esptool.web import manifest as manifests

#: The ROM is called at this rate.
CALL_BAUD = 115200
#: A part of an image: flash offset, content, and its name for messages.
Part = tuple[int, bytes, str]


class Cancelled(FatalError):  # noqa: N818 - a wish, not a fault
    """The person has asked to stop."""


def as_data(event: Event) -> dict[str, Any] | None:
    """An event as plain values; `event` names its kind. None of what a page has no use for."""
    if isinstance(event, Message):
        return {"event": "message", "level": event.level.value, "text": event.text}
    if isinstance(event, Stage):
        return {"event": "stage", "title": event.title, "done": event.done}
    if isinstance(event, Progress):
        return {
            "event": "progress",
            "action": event.action,
            "address": event.address,
            "done": event.done,
            "total": event.total,
            "seconds_left": event.seconds_left,
        }
    if isinstance(event, Connecting):
        return {"event": "connecting", "attempt": event.attempt, "done": event.done}
    return None


class _Registers:
    """A session by the names that the eFuse engine asks for."""

    secure_download_mode = False

    def __init__(self, session: device.Session) -> None:
        self.session = session
        self.CHIP_NAME = session.spec.name
        self.read_reg = session.read_reg
        self.write_reg = session.write_reg
        self.update_reg = session.update_reg

    def get_chip_revision(self) -> int:
        """major * 100 + minor."""
        return self.session.facts.revision

    def get_crystal_freq(self) -> int:
        """Crystal frequency in MHz."""
        return self.session.facts.crystal_mhz


class Engine:
    """One page's work: at most one chip, one wish at a time.

    Args:
        tell: takes each event as plain values.
        may_burn: eFuses may be burned; a page has to be built with it.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None], *, may_burn: bool = False) -> None:
        self._tell = tell
        self._may_burn = may_burn
        self._session: device.Session | None = None
        self.stopped = False

    def _listen(self, event: Event) -> None:
        data = as_data(event)
        if data is not None:
            self._tell(data)
        if self.stopped and not isinstance(event, Connecting):
            self.stopped = False
            raise Cancelled("Stopped, as you wished.", remedy="What was begun is not complete.")

    def version(self) -> str:
        """Version of the tool."""
        return __version__

    def virtual_chips(self) -> list[tuple[str, str]]:
        """Chips that a virtual board can have: key and name."""
        return [(key, chips.get(key).name) for key in chips.KEYS]

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
        self.stopped = False
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
        if session is not None:
            session.close()

    def reset(self) -> None:
        """Start the application in flash, and let go of the port."""
        try:
            ops.reset_chip(self.session, "hard-reset", listener=self._listen)
        finally:
            self.disconnect()

    def facts(self) -> dict[str, Any]:
        """What is known of the chip."""
        session = self.session
        found: dict[str, Any] = {
            "chip": session.spec.key,
            "name": session.spec.name,
            "secure_download": session.secure_download,
            "baud": session.link.baud if session.rate_matters else None,
            "stub": session.is_stub,
        }
        if session.secure_download:
            return found
        known = session.facts
        flash = ops.flash_info(session)
        return found | {
            "description": known.description,
            "features": list(known.features),
            "crystal_mhz": known.crystal_mhz,
            "mac": format_mac(known.macs.base),
            "usb_mode": known.usb_mode,
            "flash_size": flash.size,
            "flash_id": f"{flash.manufacturer:02x} {flash.device:04x}",
            "secure_boot": bool(known.secure_boot_enabled),
            "flash_encryption": bool(known.flash_encryption_enabled),
        }

    # --- installing ----------------------------------------------------------------------------

    def manifest(self, text: str | bytes) -> dict[str, Any]:
        """A manifest of ESP Web Tools as plain values.

        Raises:
            ImageError: it is none.
        """
        found = manifests.parse(text)
        return {
            "name": found.name,
            "version": found.version,
            "ask_erase": found.ask_erase,
            "improv_wait_s": found.improv_wait_s,
            "remarks": list(found.remarks),
            "families": [build.family for build in found.builds],
        }

    def parts_for_chip(self, text: str | bytes) -> list[dict[str, Any]]:
        """What a manifest puts on the connected chip: offset and path of each file.

        Raises:
            ImageError: it has nothing for this chip.
        """
        build = manifests.parse(text).build_for(self.session.spec.key)
        return [{"path": part.path, "offset": part.offset} for part in build.parts]

    def dropped(self, data: bytes, name: str) -> list[dict[str, Any]]:
        """What a file that a visitor brings is to be written as: its parts and where they belong.

        A merged image belongs at the start of flash; a single application or boot loader where
        such a one usually is.

        Raises:
            ImageError: it is nothing that could be written.
        """
        from esptool.image.info import find_images

        if not data:
            raise ImageError(f"'{name}' is empty.")
        if not find_images(data):
            raise ImageError(
                f"'{name}' is no firmware image.",
                remedy="Choose a merged image: 'esptool merge-bin' makes one.",
            )
        return [{"name": name, "offset": 0, "start": 0, "size": len(data)}]

    def install(self, parts: Sequence[Part], *, erase: bool = False) -> dict[str, Any]:
        """Write files to flash and verify them; where less than all differs, only that is sent.

        Args:
            parts: what belongs where.
            erase: erase all of the flash first.

        Returns:
            Bytes written, bytes sent, seconds, and the same for each file.

        Raises:
            FatalError: refused or failed; names what is not written.
        """
        session = self.session
        regions = [ops.Region(offset, data, name) for offset, data, name in parts]
        results = ops.write_flash(
            session, regions, ops.WriteOptions(erase_all=erase), listener=self._listen
        )
        return {
            "size": sum(r.size for r in results),
            "sent": sum(r.sent for r in results),
            "seconds": sum(r.seconds for r in results),
            "files": [
                {
                    "name": r.name,
                    "address": r.address,
                    "size": r.size,
                    "sent": r.sent,
                    "action": r.action,
                    "verified": r.verified,
                }
                for r in results
            ],
        }

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

    def nvs(self, partition: str) -> dict[str, Any]:
        """What an NVS partition stores.

        Raises:
            FatalError: it holds none.
        """
        from esptool.ops.nvs import read_nvs

        nvs = read_nvs(self._flash().place(partition))
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
            "problems": [p.to_json() if hasattr(p, "to_json") else str(p) for p in nvs.problems],
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
        efuses = Efuses(table, _Registers(session), emit=notes.append, warn=notes.append)
        return {"fields": [summary.entry(f) for f in efuses], "notes": notes}

    def image(self, data: bytes, name: str) -> dict[str, Any]:
        """What is in an image; needs no chip.

        Raises:
            ImageError: it is none.
        """
        from esptool.image.jobs import describe

        return describe(data) | {"file": name, "size": len(data)}
