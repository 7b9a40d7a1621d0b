# SPDX-License-Identifier: Apache-2.0
"""`flash`: what a build leaves behind, made a plan for the connected chip, and executed.

Everything is judged before anything is erased. The writing itself is `ops.write_flash`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esptool.builds import elf, layout
from esptool.builds.find import Found, folder_of
from esptool.builds.jobs import build_json, part_json
from esptool.builds.layout import Table
from esptool.builds.model import KEEP, Build, Part, Role
from esptool.chips.nor import SECTOR
from esptool.errors import FatalError, SecureModeError, StorageError, UsageError
from esptool.events import Level, Listener, Message, without_results
from esptool.image.regions import Region
from esptool.ops import flash_build_checks as checks
from esptool.ops.erase import erase_region
from esptool.ops.model import FlashParams, WriteOptions, WriteResult
from esptool.ops.places import DeviceFlash, TableSource
from esptool.ops.planning import plan_write
from esptool.ops.security import SecurityState, security_state
from esptool.ops.verify import verify_flash
from esptool.ops.write import write_flash
from esptool.records import dataclass, replace
from esptool.storage import names
from esptool.storage.names import Span
from esptool.storage.otadata import SIZE as OTADATA_SIZE
from esptool.storage.otadata import OtaData, boot_order
from esptool.storage.partition import DATA, Partition

if TYPE_CHECKING:
    from esptool.device import Session


@dataclass(frozen=True, slots=True)
class FlashOptions:
    """How a build is flashed. The defaults are those of the command line.

    Attributes:
        target: where the application goes in place of where the build has it: a slot such as
            "ota_1", the name of an application partition, or an offset such as "0x10000". A slot
            is made the one that boots.
        erase: names of partitions, with or without a slice, that are erased first.
        table: where the partition table on the device is, if it is needed.
        write: how it is written. What its `params` keep is as the build has it.
    """

    target: str | None = None
    erase: tuple[str, ...] = ()
    table: TableSource = TableSource()
    write: WriteOptions = WriteOptions()


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a plan.

    Attributes:
        part: what and where.
        encrypted: the chip encrypts it.
        about: what it says of itself, e.g. "hello 1.2 (ESP-IDF v5.5)", or "".
    """

    part: Part
    encrypted: bool
    about: str

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return part_json(self.part, encrypted=self.encrypted, about=self.about)


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What `flash_build` does with the connected chip.

    Attributes:
        build: the build, its images made and placed.
        items: the images in the order in which they are written.
        table: the partition table that counts, None where there is none.
        erase: what is erased first.
        options: how it is written.
        notes: what is worth knowing.
        state: the chip's security.
    """

    build: Build
    items: tuple[Item, ...]
    table: Table | None
    erase: tuple[Span, ...]
    options: WriteOptions
    notes: tuple[Message, ...]
    state: SecurityState

    @property
    def regions(self) -> list[Region]:
        """What is written, for `write_flash`."""
        return [
            Region(item.part.offset or 0, item.part.data, item.part.name, item.encrypted)
            for item in self.items
        ]

    def describe(self) -> list[str]:
        """What is written where, a line each."""
        lines = [
            f"Partition '{span.partition.name}' is erased: {span.offset:#010x} to "
            f"{span.end - 1:#010x}."
            for span in self.erase
        ]
        if self.options.erase_all:
            lines.append("The whole flash is erased first.")
        rows = [
            (
                f"{item.part.offset:#010x}",
                f"{len(item.part.data)}",
                item.part.role.value,
                f"{item.part.name}: {item.about}" if item.about else f"{item.part.name}",
                "encrypted by the chip" if item.encrypted else "",
            )
            for item in self.items
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:3]
        for offset, size, role, name, how in rows:
            first = f"{offset:<{widths[0]}}  {size:>{widths[1]}}  {role:<{widths[2]}}  {name}"
            lines.append(f"  {first}{f' ({how})' if how else ''}")
        return lines

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "build": build_json(self.build),
            "parts": [item.to_json() for item in self.items],
            "erase": [
                {"name": span.partition.name, "offset": span.offset, "size": span.size}
                for span in self.erase
            ],
            "erase_all": self.options.erase_all,
            "notes": [note.text for note in self.notes],
        }


def plan_build(
    session: Session,
    found: Found,
    options: FlashOptions | None = None,
    *,
    listener: Listener | None = None,
) -> BuildPlan:
    """Check everything, and settle what goes where. Nothing is changed on the chip.

    Args:
        session: a connected chip; `attach_flash` was called.
        found: the build.
        options: how it is to be flashed.
        listener: told what is read from the chip meanwhile.

    Raises:
        FatalError: what stops `flash_build` before anything is erased or written.
    """
    return _Planner(session, found, options or FlashOptions(), listener).plan()


class _Planner:
    def __init__(
        self, session: Session, found: Found, options: FlashOptions, listener: Listener | None
    ) -> None:
        self.session = session
        self.found = found
        self.options = options
        self.state = security_state(session)
        self.flash = DeviceFlash(session, options.table, listener=listener)
        self.notes: list[Message] = []
        self._no_table: FatalError | None = None

    def plan(self) -> BuildPlan:
        """All of it, in the order in which things depend on each other."""
        session, options = self.session, self.options
        force = options.write.force
        checks.refuse_other_chip(session, self.found.build, force=force)
        build = elf.with_image(
            self.found.build, session.spec, self.found.former, self.notes_of_conversion
        )
        table = layout.table_of(build) or self._table_if_needed(build)
        if table is None and self._no_table is not None and self._needs_table(build):
            raise self._without_table()
        build = layout.placed(build, session.spec, table, options.target)
        build, last = self._with_choice(build, table)
        checks.refuse_unfit(session, build, table, self.state, self.note, force=force)
        checks.judge_places(build, table, self.note, force=force)
        self._say_where(build, table)
        self._say_what_goes(build, table)
        self._look_at_device(build, table)
        options_write, build = self._with_encryption(build, table)
        erase = tuple(self._span(name, table) for name in options.erase)
        self._refuse_erasing(erase)
        for text in (*build.notes, build.left_out):
            if text:
                self.note(text, Level.INFO)
        # Only when the application is there may it be the one that boots.
        parts = sorted(build.parts, key=lambda p: last is not None and p.role is last.role)
        items = [self._item(part, options_write) for part in parts]
        plan = BuildPlan(
            build, tuple(items), table, erase, options_write, tuple(self.notes), self.state
        )
        if erase:
            # Nothing is erased for the sake of what cannot be written then.
            plan_write(session, plan.regions, plan.options, security=self.state)
        return plan

    def note(self, text: str, level: Level = Level.NOTE) -> None:
        """Something that is told with the plan."""
        self.notes.append(Message(text, level))

    def notes_of_conversion(self, event: object) -> None:
        """Warnings of a conversion; its steps are of no interest here."""
        if isinstance(event, Message) and event.level in (Level.WARNING, Level.NOTE):
            self.notes.append(event)

    def _item(self, part: Part, options: WriteOptions) -> Item:
        encrypted = options.encrypt or bool(part.encrypted)
        return Item(part, encrypted, checks.about(part, self.session.spec))

    # --- the table ---------------------------------------------------------------------------

    def _needs_table(self, build: Build) -> bool:
        target = self.options.target
        named = target is not None and target[:2].lower() != "0x"
        placeless = any(
            part.offset is None
            for part in build.parts
            if part.role in (Role.APP, Role.OTADATA)
            and not (part.role is Role.APP and target is not None)
        )
        spans = [names.parse_name(name) for name in self.options.erase]
        return named or placeless or any(names.needs_table(name) for name in spans)

    def _table_if_needed(self, build: Build) -> Table | None:
        """The table that is kept on the device, where something hangs on it."""
        if not self._needs_table(build):
            return None
        try:
            offset, table = self.flash.found_table
        except FatalError as e:
            self._no_table = e
            return None
        return Table(offset, table, "device")

    def _without_table(self) -> FatalError:
        cause = self._no_table
        assert cause is not None
        if not isinstance(cause, StorageError | SecureModeError):
            return cause
        return type(cause)(
            f"'{self.found.build.source}' brings no partition table, and the device gives none: "
            f"{cause.message}",
            remedy=f"{self._whole_build} or give the table with --partition-table FILE and the "
            "boot loader with --bootloader FILE.",
        )

    def _say_what_goes(self, build: Build, table: Table | None) -> None:
        """Which data a merged image erases, as it fills what lies between its images."""
        merged = build.part(Role.MERGED)
        if merged is None or table is None or merged.offset is None:
            return
        gone = [
            f"'{p.name}'"
            for p in table.table.of_kind(DATA)
            if merged.offset <= p.offset < merged.end and _blank_at(merged, p)
        ]
        if gone:
            self.note(
                f"The merged image is blank where there is data: it erases {', '.join(gone)}."
            )

    @property
    def _whole_build(self) -> str:
        """A remedy's beginning: what brings all that is missing."""
        folder = folder_of(self.found.build.source)
        return f"Flash the whole build ({'its folder' if folder is None else repr(str(folder))}),"

    def _say_where(self, build: Build, table: Table | None) -> None:
        """Which partition the application gets, where the build itself does not say."""
        app, before = build.application, self.found.build.application
        if table is None or app is None or app.offset is None or before is None:
            return
        inside = table.table.at(app.offset)
        if inside is None or inside.offset != app.offset:
            return  # which `judge_places` tells
        if before.offset != app.offset or table.origin == "device":
            whose = "on the device" if table.origin == "device" else "of the build"
            self.note(
                f"The application goes to partition '{inside.name}' of the table {whose}.",
                Level.INFO,
            )

    def _with_choice(self, build: Build, table: Table | None) -> tuple[Build, Part | None]:
        """With OTA data that select the target, where one was asked for; and these."""
        target = self.options.target
        if target is None or table is None:
            return build, None
        _, partition = layout.target_of(target, table.table)
        if partition is None:
            return build, None
        chosen = layout.otadata_for(partition, table.table, self._present(table))
        if chosen is None:
            return build, None
        old = build.part(Role.OTADATA)
        chosen = replace(chosen, encrypted=build.for_encryption if old is None else old.encrypted)
        build = build.with_part(chosen)
        return replace(build, parts=tuple(sorted(build.parts, key=_offset))), chosen

    def _present(self, table: Table) -> OtaData | None:
        """The OTA data that are on the device; None where they cannot be read."""
        where = table.table.otadata
        if where is None or self.state.flash_encryption or self.options.write.erase_all:
            return None
        try:
            return OtaData.from_bytes(self.flash.read(where.offset, OTADATA_SIZE))
        except (SecureModeError, UsageError, StorageError):
            return None

    # --- the device --------------------------------------------------------------------------

    @property
    def _readable(self) -> bool:
        session = self.session
        loader = session.is_stub or session.spec.rom.flash_ops
        return loader and not session.secure_download and not self.state.flash_encryption

    def _look_at_device(self, build: Build, table: Table | None) -> None:
        """What the build needs on the device and does not bring must be there.

        Raises:
            UsageError: no boot loader.
        """
        spec = self.session.spec
        boot_at = spec.flash.bootloader_offset
        covered = any(
            part.offset is not None and part.offset <= boot_at < part.end for part in build.parts
        )
        places = [app.offset for app in build.applications if app.offset is not None]
        if not covered and places:
            self._need_bootloader(build, boot_at)
        if table is None or not places or build.part(Role.OTADATA) is not None:
            return
        present = self._present(table) if self._readable else None
        if present is not None and present.active is not None and not self._erases(table):
            order = boot_order(table.table, present)
            if order and order[0].offset not in places:
                self.note(
                    f"The OTA data on the device select '{order[0].name}', not the application "
                    f"at {places[0]:#x}: add --target {order[0].name} to write it there, or "
                    f"--erase {_otadata(table).name} to start what is written.",
                    Level.WARNING,
                )

    def _erases(self, table: Table) -> bool:
        return self.options.write.erase_all or _otadata(table).name in self.options.erase

    def _need_bootloader(self, build: Build, boot_at: int) -> None:
        if self.options.write.erase_all:
            there = "the whole flash is erased"
        elif not self._readable:
            return
        else:
            found = checks.bootloader_on(self.flash, self.session.spec)
            if found is None:
                return
            there = found
        text = (
            f"'{build.source}' brings no boot loader, and there is none at {boot_at:#x}: {there}."
        )
        if self.options.write.force or build.left_out:
            # It may be written later.
            self.note(f"{text} The board does not start without one.", Level.WARNING)
            return
        raise UsageError(
            text,
            remedy=f"{self._whole_build} or give the boot loader with --bootloader FILE. With "
            "--force the rest is written anyway.",
        )

    # --- security ----------------------------------------------------------------------------

    def _with_encryption(self, build: Build, table: Table | None) -> tuple[WriteOptions, Build]:
        given, words = self.options.write, build.words
        asked = given.params
        params = FlashParams(
            asked.size if asked.size != KEEP else words.size,
            asked.mode if asked.mode != KEEP else words.mode,
            asked.frequency if asked.frequency != KEEP else words.freq,
        )
        if self.session.secure_download:
            params = FlashParams()
        build = checks.with_encryption(self.session, build, table, self.state, given, self.note)
        return replace(given, params=params), build

    def _span(self, text: str, table: Table | None) -> Span:
        name = names.parse_name(text)
        boot_at = self.session.spec.flash.bootloader_offset
        if table is None and names.needs_table(name):
            raise self._without_table()
        known = None if table is None else table.table
        offset = 0x8000 if table is None else table.offset
        span = names.resolve(name, known, offset, boot_at)
        if span.offset % SECTOR or span.size % SECTOR:
            raise UsageError(f"'{text}' is not made of whole sectors, so it cannot be erased.")
        return span

    def _refuse_erasing(self, erase: tuple[Span, ...]) -> None:
        if (erase or self.options.write.erase_all) and self.state.active:
            if self.options.write.force:
                return
            raise SecureModeError(
                "Secure boot or flash encryption is on: erasing could make the chip unusable.",
                remedy="Leave out --erase, or add --force if you know better.",
            )


def _offset(part: Part) -> int:
    return part.offset or 0


def _blank_at(merged: Part, p: Partition) -> bool:
    start = p.offset - (merged.offset or 0)
    return not merged.data[start : start + p.size].strip(b"\xff")


def _otadata(table: Table) -> Partition:
    found = table.table.otadata
    assert found is not None
    return found


def flash_build(
    session: Session, plan: BuildPlan, *, listener: Listener | None = None
) -> list[WriteResult]:
    """Execute a plan: erase what is to be erased, write all images, and verify them.

    Args:
        session: the chip that the plan was made for.
        plan: from `plan_build`.
        listener: told what goes on.

    Raises:
        FatalError: refused, or failed; the text names what is not written.
    """
    if not plan.options.erase_all:
        quiet = without_results(session.listener if listener is None else listener)
        for span in plan.erase:
            force = plan.options.force
            erase_region(session, span.offset, span.size, force=force, listener=quiet)
    return write_flash(session, plan.regions, plan.options, security=plan.state, listener=listener)


def verify_build(session: Session, plan: BuildPlan, *, listener: Listener | None = None) -> None:
    """Compare flash with a plan, without writing anything.

    Args:
        session: the chip that the plan was made for.
        plan: from `plan_build`.
        listener: told what goes on.

    Raises:
        VerifyError: flash differs.
        SecureModeError: encrypted images cannot be compared.
    """
    if any(region.encrypted for region in plan.regions) or plan.options.encrypt:
        raise SecureModeError("What the chip encrypts cannot be compared with the build.")
    if session.secure_download:
        raise SecureModeError("Flash cannot be compared in secure download mode.")
    verify_flash(session, plan.regions, plan.options.params, listener=listener)
