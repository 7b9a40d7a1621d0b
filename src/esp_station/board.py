# SPDX-License-Identifier: Apache-2.0
"""One board while a job is done on it: its session, what is known of it, and what was written."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from esp_station import encrypted
from esp_station.model import Identity, Images
from esp_station.records import Attempt
from esptool import device, ops
from esptool.errors import FatalError, VerifyError
from esptool.events import Event, Level, Message, Progress
from esptool.image.regions import Region
from esptool.ops.identity import format_mac
from esptool.protocol.rates import AUTO
from esptool.transport.discovery import find_again
from esptool.transport.settings import Settings

if TYPE_CHECKING:
    from esp_station.rows import Row
    from esptool.device import Session

ROM_BAUD = 115200
MAC_READINGS = 4
#: A program that prints without end must not fill the memory.
MOST_LINES = 4000
#: What is shorter than this may be part of any word, so that hiding it would only blur a log.
_SHORTEST_SECRET = 4
HIDDEN = "***"


class InterruptedWorkError(FatalError):
    """The station is to end before the board is done."""

    error_code = "interrupted"


@dataclass(slots=True)
class Written:
    """What a step brought to flash; `proven` once a hash of the chip has shown it there."""

    region: Region
    proven: bool = False


class Board:
    """A board in a slot. Steps ask it for a session and tell it what they learned.

    Attributes:
        identity: what the job is for.
        images: what is the same on every board.
        attempt: what is kept in the records.
        row: the data of this board, None where the job has none.
        written: what is in flash by the work of this attempt.
        progress: told how far a step is, 0 to 100.
        save: puts what the attempt holds by now into the records.
        earlier: the attempts on this board that are on record, this one among them.
        cipher: what flash encryption makes of data, None where the key is not at hand.
    """

    def __init__(
        self,
        port: str,
        identity: Identity,
        images: Images,
        attempt: Attempt,
        *,
        settings: Settings | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.port = port
        self.identity = identity
        self.images = images
        self.attempt = attempt
        self.row: Row | None = None
        self.written: list[Written] = []
        self.progress: Callable[[int], None] = lambda _percent: None
        self.save: Callable[[], None] = lambda: None
        self.earlier: Callable[[], Iterable[Attempt]] = tuple
        self.cipher: encrypted.Cipher | None = None
        self._settings = settings or Settings()
        self._stop = stop or threading.Event()
        self._session: Session | None = None
        self._ready = False
        self._lines: list[str] = []
        self._secrets: list[str] = []

    # --- the session -----------------------------------------------------------------------------

    def connect(self) -> Session:
        """Call the chip, by reset, and let its ROM loader answer. An open session is left.

        Raises:
            FatalError: nothing answers, or not what the job is for.
        """
        self._close()
        session = device.connect(
            self.port,
            chip=self.identity.chip,
            baud=ROM_BAUD,
            settings=self._settings,
            listener=self.listen,
        )
        self._session = session
        session.wanted_baud = self.identity.baud
        self._ready = False
        return session

    def loader(self) -> Session:
        """A session with the stub at the job's rate and its flash attached, kept between steps.

        Raises:
            FatalError: the board is lost, or is another one.
        """
        session = self._session
        if session is None or session.has_left:
            session = self.connect()
            self._refuse_other(session)
        if not self._ready:
            session.run_stub()
            if self.identity.baud == AUTO or self.identity.baud != session.link.baud:
                session.settle_rate(self.identity.baud)
            ops.attach_flash(session)
            self._ready = True
        return session

    def rom(self) -> Session:
        """A session with the ROM loader, after a reset.

        Raises:
            FatalError: the board is lost, or is another one.
        """
        session = self._session
        if session is None or session.has_left or self._ready:
            session = self.connect()
            self._refuse_other(session)
        return session

    def leave(self, session: Session) -> None:
        """The chip runs a program now: the next step calls it anew."""
        session.has_left = True
        self._ready = False

    def start_program(self) -> None:
        """Leave the board with the program in its flash, as it will be used.

        Everything was verified before, so a reset that does not work makes no board worse.
        """
        session = self._session
        if session is not None and not session.has_left:
            with contextlib.suppress(FatalError):
                ops.reset_chip(session)
            self.leave(session)

    def call_anew(self) -> None:
        """The next step resets the chip, so that it takes its eFuses as they are by now."""
        self._close()

    def close(self) -> None:
        """Let go of the port."""
        self._close()

    def _close(self) -> None:
        if self._session is not None:
            # A port that came back under another name is opened under that one.
            self.port = self._session.link.port.url or self.port
            with contextlib.suppress(FatalError):
                self._session.close()
            self._session = None
            self._ready = False

    def reopened_port(self) -> None:
        """The port may have come back under another name, as USB of a chip's own does."""
        session = self._session
        if session is not None and session.usb_place is not None:
            self.port = find_again(session.usb_place) or self.port

    # --- who it is -------------------------------------------------------------------------------

    def identify(self) -> str:
        """Connect and note who it is; the MAC address.

        Raises:
            FatalError: the job is not for it, or it cannot be known.
        """
        session = self.connect()
        if session.secure_download:
            raise FatalError(
                "The board is in secure download mode, so its MAC address cannot be read.",
                remedy="It was finished before: take it out of the line.",
            )
        session.remember()
        facts, attempt = session.facts, self.attempt
        macs = facts.macs
        attempt.mac = format_mac(macs.base)
        attempt.chip = session.spec.key
        attempt.revision = f"v{facts.major}.{facts.minor}"
        self._refuse_revision(facts.revision, attempt.revision)
        loader = self.loader()
        self._read_mac_again(loader)
        info = ops.flash_info(loader)
        attempt.flash_id = f"{info.manufacturer:02x}{info.device:04x}"
        attempt.flash_size = info.size
        return attempt.mac

    def _read_mac_again(self, session: Session) -> None:
        """A row hangs on the MAC address, and answers of a ROM carry no checksum.

        Raises:
            FatalError: it is never read the same twice.
        """
        for _ in range(MAC_READINGS):
            known = session.facts.known_mac_words()
            if known is None or session.read_regs(list(known)) == list(known.values()):
                self.attempt.mac = format_mac(session.facts.macs.base)
                return
            session.facts.forget()
            session.facts.remember_mac()
        raise FatalError(
            "The MAC address of the board is read differently each time.",
            remedy="Check cable and supply.",
        )

    def _refuse_revision(self, revision: int, shown: str) -> None:
        low, high = self.identity.min_revision, self.identity.max_revision
        if (low is not None and revision < low) or (high is not None and revision > high):
            raise FatalError(
                f"The chip has revision {shown}; the job is for "
                f"{revision_text(low) or 'the first'} to {revision_text(high) or 'the latest'}.",
                remedy="Put the board aside, or change `revisions` in the job.",
            )

    def _refuse_other(self, session: Session) -> None:
        """
        Raises:
            FatalError: this is not the board that the attempt began with.
        """
        if self.attempt.mac is None:
            return
        mac = format_mac(session.facts.macs.base)
        if mac != self.attempt.mac:
            raise FatalError(
                f"The board {self.attempt.mac} was taken out; now there is {mac}.",
                remedy="Plug the first one in again.",
            )

    # --- what was written ------------------------------------------------------------------------

    def write(self, regions: list[Region]) -> None:
        """Bring regions to flash, each proven by a hash that the chip makes.

        Raises:
            FatalError: they are not there.
        """
        session = self.loader()
        for region in regions:
            if region.encrypted:
                self._write_encrypted(session, encrypted.padded(region))
        regions = [region for region in regions if not region.encrypted]
        for region in regions:
            self._forget(region)
            self.written.append(Written(region))
        results = ops.write_flash(session, regions)
        for region, result in zip(regions, results, strict=True):
            for item in self.written:
                if item.region is region:
                    item.proven = result.verified

    def _write_encrypted(self, session: Session, region: Region) -> None:
        self._forget(region)
        name = encrypted.proof_name(region)
        known = {a.digests[name] for a in self.earlier() if name in a.digests}
        stored = encrypted.bring(session, region, self.cipher, known)
        self.written.append(Written(stored, proven=True))
        self.attempt.digests[name] = encrypted.sha256(stored)

    def _forget(self, region: Region) -> None:
        """What a write covers is not there any more."""
        self.written = [
            w
            for w in self.written
            if w.region.end <= region.address or w.region.address >= region.end
        ]

    def erased(self) -> None:
        """Nothing is in flash any more."""
        self.written.clear()

    def prove(self) -> None:
        """Have all that was written hashed by the chip again.

        Raises:
            VerifyError: something is not there.
            FatalError: nothing was written.
        """
        if not self.written:
            raise VerifyError("Nothing was written, so there is nothing to verify.")
        ops.verify_flash(self.loader(), [w.region for w in self.written])
        for item in self.written:
            item.proven = True

    def refuse_unproven(self) -> None:
        """
        Raises:
            VerifyError: something was written of which nobody knows whether it is in flash.
        """
        for item in self.written:
            if not item.proven:
                raise VerifyError(
                    f"{item.region.title} at {item.region.address:#x} could not be verified.",
                    remedy="A board is only good when all of it was verified.",
                )

    # --- facts and secrets -----------------------------------------------------------------------

    def facts(self) -> dict[str, str]:
        """What templates may speak of."""
        now = datetime.now(timezone.utc)
        a = self.attempt
        found = {
            "mac": a.mac or "",
            "mac_plain": (a.mac or "").replace(":", "").upper(),
            "chip": self.identity.chip.name,
            "revision": a.revision or "",
            "flash_id": a.flash_id or "",
            "product": a.product,
            "station": a.station,
            "slot": a.slot,
            "attempt": str(a.id),
            "date": now.strftime("%Y-%m-%d"),
            "time": now.strftime("%H:%M:%S"),
        }
        found |= {f"value.{name}": value for name, value in a.measured.items()}
        if self.row is not None:
            found |= {f"row.{name}": value for name, value in self.row.values.items()}
        return found

    def use_row(
        self, row: Row, pool: str, public: tuple[str, ...], digests: tuple[str, ...]
    ) -> None:
        """The row is this board's: note what may be known of it, and hide the rest."""
        self.row = row
        a = self.attempt
        a.row_pool, a.row_key = pool, row.key
        a.row_data = {name: row.values[name] for name in public if name in row.values}
        a.digests |= {
            name: hashlib.sha256(row.values[name].encode()).hexdigest()
            for name in digests
            if name in row.values
        }
        shown = {row.key, *a.row_data.values()}
        self.hide(*(value for value in row.values.values() if value not in shown))

    def hide(self, *secrets: str) -> None:
        """Keep these out of the log and the records."""
        fresh = {s for s in secrets if len(s) >= _SHORTEST_SECRET}
        fresh |= {line.strip() for s in fresh for line in s.splitlines()}
        self._secrets += [s for s in fresh if len(s) >= _SHORTEST_SECRET]
        self._secrets.sort(key=len, reverse=True)  # one may be part of another

    def without_secrets(self, text: str) -> str:
        """A text that may be recorded."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def say(self, text: str) -> None:
        """Add lines to the log."""
        self._lines += (line.rstrip() for line in self.without_secrets(text).splitlines())
        while len(self._lines) > MOST_LINES:
            # The beginning tells who it is, the end why it failed.
            self._lines[MOST_LINES // 2 : MOST_LINES // 2 + MOST_LINES // 4] = ["..."]

    @property
    def log(self) -> str:
        """What was said so far."""
        return "\n".join(self._lines)

    # --- events ----------------------------------------------------------------------------------

    def check_stop(self) -> None:
        """
        Raises:
            InterruptedWorkError: the station is to end now.
        """
        if self._stop.is_set():
            raise InterruptedWorkError(
                "The station was ended while the board was in work.",
                remedy="Plug the board in again: it gets the same row.",
            )

    def listen(self, event: Event) -> None:
        """Take an event of the tool into the log."""
        self.check_stop()
        if isinstance(event, Message) and event.text.strip():
            mark = f"{event.level.value}: " if event.level in _MARKED else ""
            self.say(mark + event.text)
        elif isinstance(event, Progress) and event.total:
            self.progress(100 * event.done // event.total)


_MARKED = (Level.NOTE, Level.WARNING, Level.ERROR)


def revision_text(revision: int | None) -> str:
    """'v1.2' for 102; empty for None."""
    return "" if revision is None else f"v{revision // 100}.{revision % 100}"
