# SPDX-License-Identifier: Apache-2.0
"""The exception tree of the whole tool-set: every foreseen failure is a `FatalError`.

A message says what failed, where (address, size, port, status code) and what to do about it.
Nothing here prints; the command line shows the text and ends with exit code 2.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, whose import would be a good part of the start-up time
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    _Own = TypeVar("_Own", bound="FatalError")

    _Fatal = RuntimeError
else:
    try:
        # Programs built on this package catch its errors, ours among them.
        from esp_pylib.errors import FatalError as _Fatal
    except ImportError:
        _Fatal = RuntimeError


class FatalError(_Fatal):
    """An operation cannot go on. The text is meant for a person, in one or two lines.

    `remedy`, when given, is appended to the message on a line of its own.

    Attributes:
        error_code: a word that names the kind of failure for programs, and stays.
        operands: what it is about (port, address, size, file ...), by the names of the schema of
            `--json`, as JSON takes it.
    """

    error_code = "failed"

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        code: str | None = None,
        operands: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.error_code = code
        self.operands: dict[str, Any] = dict(operands or {})
        super().__init__(f"{message}\n{remedy}" if remedy else message)

    def saying(self: _Own, what: str, remedy: str = "") -> _Own:
        """The same error with what it means in front: "Reading did not begin".

        `remedy` is added where it has none of its own.
        """
        error = type(self).__new__(type(self))
        error.__dict__.update(self.__dict__)
        FatalError.__init__(
            error,
            f"{what}: {self.message}",
            remedy=self.remedy or remedy,
            code=self.error_code,
            operands=self.operands,
        )
        return error

    @staticmethod
    def WithResult(message: str, result: bytes) -> FatalError:  # noqa: N802 - the documented name
        """An error that quotes the status bytes of an answer.

        A NAND flash that cannot be written or erased any more has an exception of its own.
        """
        from esptool.protocol.status import Status, describe

        code = int.from_bytes(bytes(result[:2]), "big")
        kinds: dict[int, type[FatalError]] = {
            Status.NAND_PROGRAM_FAILED: NANDProgramFailed,
            Status.NAND_ERASE_FAILED: NANDEraseFailed,
        }
        kind = kinds.get(code, FatalError)
        return kind(f"{message} (result was {code:04X}: {describe(code)})")


class NANDProgramFailed(FatalError):  # noqa: N818 - the documented name
    """A page of NAND flash could not be programmed: its block is worn out."""

    error_code = "nand_program_failed"


class NANDEraseFailed(FatalError):  # noqa: N818 - the documented name
    """A block of NAND flash could not be erased: it is worn out."""

    error_code = "nand_erase_failed"


class UsageError(FatalError):
    """The caller asked for something that cannot be meant: nothing was sent or written."""

    error_code = "usage"


class UnknownKeywordError(UsageError, TypeError):
    """A documented function was called with a keyword that it does not have.

    Also a `TypeError`, which is what Python raises for that.
    """


class LineLossError(FatalError):
    """The line is at fault, or a chip that was reset: not what was asked, so it may be tried again.

    Everything that a lost or damaged line raises is one of these; a refusal by the chip is not.
    """

    error_code = "line_lost"


class NoAnswerError(LineLossError):
    """No good answer came; the port still works, so that the request may simply be repeated."""

    error_code = "no_answer"


class LinkTimeoutError(NoAnswerError):
    """The chip did not answer a request in time."""

    error_code = "timeout"


class ProtocolError(NoAnswerError):
    """The bytes received are not what the serial protocol allows at this point."""

    error_code = "bad_answer"


class PortError(LineLossError):
    """A serial port cannot be opened, vanished, or refuses a setting."""

    error_code = "port"


class RateError(LineLossError):
    """Port or line cannot go at the rate asked for; the port is at the former one.

    Attributes:
        lost: the chip is not to be heard there, and must be reset.
    """

    error_code = "baud_rate"

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message, remedy="Choose another --baud.")
        self.lost = lost


class ConnectError(FatalError):
    """No chip answered on the port, or not the expected one."""

    error_code = "no_connection"


class ChipResponseError(FatalError):
    """The chip answered a request with a failure status.

    Attributes:
        opcode: the request's opcode.
        status: first status byte (non-zero).
        reason: second status byte; with `status` it forms the big-endian error code.
    """

    error_code = "refused_by_chip"

    def __init__(self, message: str, *, opcode: int, status: int, reason: int) -> None:
        super().__init__(message)
        self.opcode = opcode
        self.status = status
        self.reason = reason
        self.operands = {"opcode": opcode, "status": status, "reason": reason}

    @property
    def code(self) -> int:
        """Status and reason as one number, e.g. 0x0105 or 0xC400."""
        return (self.status << 8) | self.reason


class DamagedAnswerError(ChipResponseError, ProtocolError):
    """The status of an answer is none that exists, so the answer was damaged: nothing is known."""

    error_code = "bad_answer"


class DamagedRequestError(ChipResponseError, LineLossError):
    """The chip says that a request arrived damaged: it did nothing."""

    error_code = "damaged_request"


class UnsupportedCommandError(FatalError):
    """The chip, its ROM loader or the running stub has no such command.

    May also be made the documented way, of a loader object and an opcode.
    """

    error_code = "unsupported_command"

    def __init__(
        self, message: str | Any, opcode: int | None = None, *, remedy: str | None = None
    ) -> None:
        if not isinstance(message, str):
            message, remedy = _refusal(message, opcode or 0)
        super().__init__(message, remedy=remedy)
        self.opcode = opcode
        if opcode is not None:
            self.operands = {"opcode": opcode}


def _refusal(loader: Any, opcode: int) -> tuple[str, str | None]:
    """What a refused opcode means in the loader's mode, and what helps."""
    if loader.secure_download_mode:
        return f"Command {opcode:#x} is not available in Secure Download Mode.", None
    text = f"Invalid (unsupported) command {opcode:#x} in the current download mode."
    if loader.CHIP_NAME != "ESP32-S31":
        return text, None
    return text, (
        "If secure debug restricts it, open it with verify-sdc-certificate (--no-stub), "
        "then go on with --before no-reset."
    )


class NotSupportedError(FatalError):
    """This chip cannot do what was asked, whatever runs on it."""

    error_code = "not_supported"


class SecureModeError(FatalError):
    """Secure boot, flash encryption or secure download mode forbids the operation."""

    error_code = "security"


class ImageError(FatalError):
    """A firmware image, ELF, HEX or UF2 file is malformed or does not fit the chip."""

    error_code = "image"


class OtherChipError(ImageError):
    """Firmware is for another chip than the one that is connected."""


class FileError(FatalError):
    """A file or folder of this machine cannot be read or written."""

    error_code = "file"


class StorageError(FatalError):
    """What is kept in flash (partition table, OTA data, NVS, file system) is damaged or none."""

    error_code = "storage"


class VerifyError(FatalError):
    """What is in flash differs from what should be there."""

    error_code = "verify"
