# SPDX-License-Identifier: Apache-2.0
"""OTA slots: which one boots and why, writing the next one, and switching.

Whatever is cut short, the board boots: a slot that boots now is not touched, and the OTA data are
changed in the sector that does not count, by one write.
"""

from __future__ import annotations

from esptool.chips.nor import SECTOR
from esptool.errors import StorageError, UsageError
from esptool.events import Level, Listener, Message, ignore
from esptool.ops.apps import PEEK, Demands, Peek, peek, refuse_unfit
from esptool.ops.places import DeviceFlash, Flash
from esptool.ops.security import security_state
from esptool.records import dataclass
from esptool.storage.otadata import SIZE, OtaData, OtaEntry, OtaState, boot_order, slot_count
from esptool.storage.partition import APP, TEST, Partition
from esptool.storage.partitions import PartitionTable

_FORCE = "Use --force to do it anyway."


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One application partition.

    Attributes:
        partition: the entry of the table.
        content: what its first bytes tell.
        entry: the entry of the OTA data that names it (the newer one), None where none does.
        selected: the OTA data select it.
        boots: the boot loader starts it, as far as the first bytes of all tell.
    """

    partition: Partition
    content: Peek
    entry: OtaEntry | None
    selected: bool
    boots: bool

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        entry = self.entry
        return {
            "name": self.partition.name,
            "subtype": self.partition.subtype_name,
            "slot": self.partition.ota_slot,
            "offset": self.partition.offset,
            "size": self.partition.size,
            **self.content.to_json(),
            "sequence": None if entry is None else entry.sequence,
            "state": None if entry is None else entry.state_name,
            "selected": self.selected,
            "boots": self.boots,
        }


@dataclass(frozen=True, slots=True)
class OtaStatus:
    """All application partitions, and which boots.

    Attributes:
        data: the OTA data, None where the table has no partition for them.
        why: why it is that one that boots, in a sentence.
    """

    slots: tuple[SlotStatus, ...]
    data: OtaData | None
    why: str

    @property
    def boots(self) -> SlotStatus | None:
        """The one that boots, None where none seems to."""
        return next((slot for slot in self.slots if slot.boots), None)

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        entries = () if self.data is None else self.data.entries
        return {
            "boots": None if self.boots is None else self.boots.partition.name,
            "why": self.why,
            "slots": [slot.to_json() for slot in self.slots],
            "otadata": None
            if self.data is None
            else {
                "active": self.data.active,
                "entries": [
                    {
                        "sequence": None if e.blank else e.sequence,
                        "state": e.state_name,
                        "crc": e.crc,
                        "valid": e.usable,
                        "blank": e.blank,
                    }
                    for e in entries
                ],
            },
        }


def ota_status(flash: Flash) -> OtaStatus:
    """Which slots there are, what is in them, and which boots.

    Raises:
        FatalError: no table, or it is encrypted.
    """
    table = flash.table
    data = _read_data(flash, table)
    contents = {
        p: peek(flash.place_of(p).read(0, min(PEEK, p.size)))
        for p in sorted(table.of_kind(APP), key=lambda p: p.subtype)
        if p.ota_slot is not None or p.subtype in (0, TEST)
    }
    order = boot_order(table, data)
    fit = [p for p in order if _may_boot(contents.get(p), flash)]
    boots = fit[0] if fit else None
    selected = order[0] if order else None
    return OtaStatus(
        tuple(
            SlotStatus(p, content, _entry_of(p, data, table), p == selected, p == boots)
            for p, content in contents.items()
        ),
        data,
        _why(table, data, selected, boots),
    )


def _read_data(flash: Flash, table: PartitionTable) -> OtaData | None:
    where = table.otadata
    if where is None:
        return None
    if where.size < SIZE:
        raise StorageError(f"Partition '{where.name}' is too small for OTA data.")
    return OtaData.from_bytes(flash.place_of(where).read(0, SIZE))


def _may_boot(content: Peek | None, flash: Flash) -> bool:
    if content is None or content.kind != "image":
        return False
    return flash.chip is None or content.chip is None or content.chip is flash.chip


def _entry_of(p: Partition, data: OtaData | None, table: PartitionTable) -> OtaEntry | None:
    count = slot_count(table)
    if data is None or p.ota_slot is None or not count:
        return None
    mine = [e for e in data.entries if e.intact and e.slot(count) == p.ota_slot]
    return max(mine, key=lambda e: e.sequence, default=None)


def _why(
    table: PartitionTable,
    data: OtaData | None,
    selected: Partition | None,
    boots: Partition | None,
) -> str:
    if selected is None:
        return "The table has no application partition."
    chosen = f"'{selected.name}'"
    if data is None:
        text = f"The table has no OTA data, so {chosen} comes first."
    elif data.active is None:
        blank = all(e.blank for e in data.entries)
        state = "are blank" if blank else "have no usable entry"
        text = f"The OTA data {state}, so {chosen} comes first."
    else:
        entry = data.entries[data.active]
        text = (
            f"Entry {data.active} of the OTA data counts: sequence {entry.sequence}, state "
            f"{entry.state_name}; it selects {chosen}."
        )
        if entry.state == OtaState.PENDING_VERIFY:
            text += " A boot loader with rollback goes back from it at the next reset."
    if boots is None:
        return f"{text} No partition holds an application for this chip."
    if boots != selected:
        text += f" No application is there, so the boot loader goes on to '{boots.name}'."
    return text


# --- changing ------------------------------------------------------------------------------------


def find_slot(table: PartitionTable, text: str) -> Partition:
    """A slot by its name, as "ota_1", or by number.

    Raises:
        UsageError: no such slot.
    """
    slots = table.ota_slots
    by_name = [{p.name: p for p in reversed(slots)}]
    by_name += [{p.subtype_name: p for p in slots}, {str(p.ota_slot): p for p in slots}]
    for known_as in by_name:
        if text in known_as:
            return known_as[text]
    factory = table.factory
    if factory is not None and text in (factory.name, "factory"):
        return factory
    known = [p.name for p in slots] + ([factory.name] if factory else [])
    raise UsageError(
        f"There is no slot '{text}'.",
        remedy=f"There are: {', '.join(known)}." if known else "The table has no OTA slots.",
        operands={"partition": text},
    )


def ota_boot(
    flash: Flash, slot: str, *, force: bool = False, listener: Listener = ignore
) -> OtaData | None:
    """Have another slot boot: "ota_1", 1, the name of the partition, or "factory".

    Args:
        flash: where.
        slot: which.
        force: also a slot in which no application for this chip is.
        listener: told what is done.

    Returns:
        The OTA data as they are now; None where the table has none.

    Raises:
        UsageError: no such slot, or no application in it.
        FatalError: it failed; the former slot boots.
    """
    table = flash.table
    target = find_slot(table, slot)
    data = _need_data(flash, table)
    content = peek(flash.place_of(target).read(0, min(PEEK, target.size)))
    if not force and not _may_boot(content, flash):
        there = {"blank": "it is blank", "data": "there is something else"}
        why = there.get(content.kind, f"the image is for {content.chip and content.chip.name}")
        raise UsageError(
            f"There is no application to boot in '{target.name}': {why}.", remedy=_FORCE
        )
    if target.ota_slot is None:
        return _erase(flash, table, data, listener)
    return _switch(flash, table, data, target, listener)


def _need_data(flash: Flash, table: PartitionTable) -> OtaData:
    data = _read_data(flash, table)
    if data is None:
        raise StorageError(
            "The partition table has no partition for OTA data (type data, subtype ota), so no "
            "slot can be chosen."
        )
    return data


def _switch(
    flash: Flash,
    table: PartitionTable,
    data: OtaData,
    target: Partition,
    listener: Listener,
) -> OtaData:
    count = slot_count(table)
    slot = target.ota_slot
    assert slot is not None
    if slot >= count:
        raise StorageError(
            f"The boot loader counts {count} slots, so it never starts '{target.name}' "
            f"({target.subtype_name}): number them from ota_0 on without a gap."
        )
    wanted = data.switched(slot, count)
    where = table.otadata
    assert where is not None
    _write_sectors(flash, where, data, wanted, "OTA data")
    listener(
        Message(f"The boot loader starts '{target.name}' ({target.subtype_name}) from now on.")
    )
    return wanted


def _write_sectors(
    flash: Flash, where: Partition, data: OtaData, wanted: OtaData, name: str
) -> None:
    """Bring the OTA data to flash, the sector that does not count now first."""
    place = flash.place_of(where)
    first = 1 if data.active == 0 else 0
    new = wanted.to_bytes()
    for index in (first, 1 - first):
        at = index * SECTOR
        if new[at : at + SECTOR] != data.to_bytes()[at : at + SECTOR]:
            place.flash.write(place.offset + at, new[at : at + SECTOR], name=name)


def ota_erase(flash: Flash, *, listener: Listener = ignore) -> OtaData:
    """Erase the OTA data: the factory application boots, or ota_0 where there is none.

    Raises:
        FatalError: no OTA data, or it failed.
    """
    table = flash.table
    return _erase(flash, table, _need_data(flash, table), listener)


def _erase(flash: Flash, table: PartitionTable, data: OtaData, listener: Listener) -> OtaData:
    where = table.otadata
    assert where is not None
    wanted = OtaData.blank()
    _write_sectors(flash, where, data, wanted, "OTA data")
    order = boot_order(table, wanted)
    first = f" The boot loader starts '{order[0].name}' from now on." if order else ""
    listener(Message(f"The OTA data are erased.{first}"))
    return wanted


def next_slot(table: PartitionTable, running: Partition | None) -> Partition:
    """The slot that an update takes: the one after the slot that boots, ota_0 after any other app.

    Raises:
        StorageError: there is none.
    """
    slots = table.ota_slots
    if not slots:
        raise StorageError("The partition table has no OTA slots (type app, subtype ota_0 ...).")
    current = None if running is None else running.ota_slot
    wanted = 0 if current is None else (current + 1) % slot_count(table)
    return next((p for p in slots if p.ota_slot == wanted), slots[0])


def ota_write(
    flash: Flash,
    image: bytes,
    *,
    name: str | None = None,
    slot: str | None = None,
    switch: bool = True,
    force: bool = False,
    listener: Listener = ignore,
) -> Partition:
    """Write an application to the next slot, verify it, and have it boot.

    Args:
        flash: where.
        image: the application.
        name: its file's name, for messages.
        slot: another slot than the next one.
        switch: have it boot at the end.
        force: also an image that is not for this chip, and into the slot that boots now.
        listener: told what is done.

    Returns:
        The slot.

    Raises:
        ImageError: damaged, or (without `force`) not for this chip; nothing was written.
        UsageError: it does not fit, or would overwrite what boots.
        FatalError: it failed; the former slot boots.
    """
    table = flash.table
    data = _need_data(flash, table)
    status = ota_status(flash)
    running = None if status.boots is None else status.boots.partition
    target = next_slot(table, running) if slot is None else find_slot(table, slot)
    if target.ota_slot is None:
        raise UsageError(f"'{target.name}' is not an OTA slot.", remedy="Use write-flash for it.")
    info = refuse_unfit(image, name, _demands(flash), force=force)
    what = "The image" if name is None else f"'{name}'"
    if len(image) > target.size:
        raise UsageError(
            f"{what} ({len(image)} bytes) does not fit '{target.name}', which has {target.size}.",
            operands={"partition": target.name, "size": len(image)},
        )
    if target == running and not force:
        raise UsageError(
            f"'{target.name}' is the slot that boots: were this cut short, nothing would.",
            remedy=_FORCE,
        )
    if info.app is None:
        text = f"{what} has no description of an application: is it one of ESP-IDF?"
        listener(Message(text, Level.NOTE))
    active = None if data.active is None else data.entries[data.active]
    if active is not None and active.state == OtaState.PENDING_VERIFY:
        text = "The application that boots has not said yet that it works (PENDING_VERIFY)."
        listener(Message(text, Level.NOTE))
    listener(Message(f"Writing {what} to '{target.name}' ({target.subtype_name})..."))
    room = min(-len(image) % SECTOR, target.size - len(image))
    flash.write(target.offset, image + b"\xff" * room, name=name)
    if switch:
        _switch(flash, table, data, target, listener)
    return target


def _demands(flash: Flash) -> Demands:
    """What the chip asks of an application."""
    if not isinstance(flash, DeviceFlash):
        return Demands(flash.chip)
    session = flash.session
    state = security_state(session)
    return Demands(
        session.spec,
        session.facts.revision,
        session.facts.secure_version,
        state.secure_boot,
        state.boot_keys,
    )
