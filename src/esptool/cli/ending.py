# SPDX-License-Identifier: Apache-2.0
"""How the programs end: every outcome becomes an exit code and a line or two. Needs no parser.

The codes are in docs/exit-codes.md; all programs come through here.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from esptool.errors import FatalError
from esptool.logger import log

if TYPE_CHECKING:
    import signal as _signal
else:  # what it adds to this costs more to import than `esptool version` takes to run
    import _signal

DONE = 0
FAILED = 2


def run(main: Callable[[], None], *, lead: str = "") -> NoReturn:
    """Run a program's `main` and end the process with the exit code that belongs to the outcome.

    0 when it went well; 2 after any error or an interruption, which is shown in a line or two on
    standard error; the signal's own end after SIGTERM and SIGHUP, once everything is cleaned up.
    ESPTOOL_TRACEBACK=1 shows where an error came from.

    Args:
        main: raises `FatalError` or `SystemExit`.
        lead: stands before an error: espefuse and espsecure begin it on a new line.
    """
    _fill_closed_streams()
    output = _guard("stdout", 1)
    _guard("stderr", 2)
    ended_by: list[int] = []
    _raise_at_signals(ended_by)
    code = _outcome(main, lead, ended_by)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # nothing is left that needs cleaning up
    lost = _flush(output)
    if lost is not None and lost.errno != errno.EPIPE and not ended_by:
        _fatal(f"Cannot write the output: {lost.strerror}.", lead)
        code = FAILED
    if ended_by:
        _signal.signal(ended_by[0], _signal.SIG_DFL)
        os.kill(os.getpid(), ended_by[0])
    sys.exit(code)


def _outcome(main: Callable[[], None], lead: str, ended_by: list[int]) -> int:
    try:
        main()
    except KeyboardInterrupt as e:
        text = str(e)
        what = "Ended by a signal." if ended_by else "Interrupted."
        log.error(f"{what}{' ' + text if text else ''}")
        return FAILED
    except FatalError as e:
        _maybe_traceback()
        with _told_ide(e, foreseen=True):
            show_error(e, lead)
        return FAILED
    except SystemExit as e:
        if isinstance(e.code, str):  # what `sys.exit("text")` means
            log.error(e.code)
        return e.code if isinstance(e.code, int) else DONE if e.code is None else FAILED
    except MemoryError:
        _maybe_traceback()
        _fatal("There is not enough memory for this.", lead)
        return FAILED
    except Exception as e:
        _maybe_traceback()
        with _told_ide(e, foreseen=False):
            _fatal(
                f"unexpected {type(e).__name__}: {e} ({_innermost(e)}). "
                "Set ESPTOOL_TRACEBACK=1 to see more, and please report it.",
                lead,
            )
        return FAILED
    return DONE


def _told_ide(error: BaseException, *, foreseen: bool) -> AbstractContextManager[None]:
    """Tell an IDE that listens; what is shown meanwhile is not sent once more."""
    if not os.environ.get("ESP_IDE_WS"):
        return nullcontext()
    from esptool import log_ide

    log_ide.tell_exception(error, foreseen=foreseen)
    return log_ide.muted()


def show_error(error: BaseException, lead: str = "") -> None:
    """The line that all programs show for a failure."""
    # Names from a damaged file system, or of files, must not steer the terminal.
    text = "".join(f"\\x{ord(c):02x}" if _steers(c) else c for c in str(error))
    _fatal(text, lead)


def _fatal(text: str, lead: str) -> None:
    log.error(f"{lead}A fatal error occurred: {text}")


def _steers(c: str) -> bool:
    return c not in "\n\t" and (c < " " or "\x7f" <= c < "\xa0")


# --- standard streams --------------------------------------------------------------------------


class _Outlet(io.FileIO):
    """Standard output or error. Work is not given up because nobody reads about it any more."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as e:
                self.lost = e
        return memoryview(data).nbytes


def output_is_lost() -> bool:
    """Standard output cannot be written any more, so that nobody sees what is asked there."""
    if sys.stdout is None:
        return True
    sys.stdout.flush()
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return getattr(outlet, "lost", None) is not None


def _guard(name: str, descriptor: int) -> _Outlet | None:
    """Put an `_Outlet` below a standard stream; None where it is something else already."""
    stream = getattr(sys, name)
    try:
        if type(stream) is not io.TextIOWrapper or stream.fileno() != descriptor:
            return None
        stream.flush()
        outlet = _Outlet(descriptor, "wb", closefd=False)
        guarded = io.TextIOWrapper(
            io.BufferedWriter(outlet),
            encoding=stream.encoding,
            errors=stream.errors if name == "stderr" else "replace",
            line_buffering=True,  # who reads a pipe wants to see how far work is, too
            write_through=stream.write_through,
        )
    except (OSError, ValueError):
        return None
    setattr(sys, name, guarded)
    return outlet


def _fill_closed_streams() -> None:
    """Otherwise the next file or port that is opened gets the number of a standard stream."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _flush(output: _Outlet | None) -> OSError | None:
    """Write what is left; the failure of standard output, if there was one."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError) as e:
        return e if isinstance(e, OSError) else None
    return None if output is None else output.lost


# --- signals -----------------------------------------------------------------------------------


def stopping_signals() -> list[int]:
    """By which a server is asked to end; SIGHUP is none where its parent ignores it (nohup)."""
    hang_up = getattr(_signal, "SIGHUP", None)
    numbers = [_signal.SIGINT, _signal.SIGTERM]
    if hang_up is not None and _signal.getsignal(hang_up) != _signal.SIG_IGN:
        numbers.append(hang_up)
    return [int(number) for number in numbers]


def _raise_at_signals(ended_by: list[int]) -> None:
    """SIGTERM and SIGHUP end a program as Ctrl-C does: files removed, ports closed, state told."""

    def end(number: int, _frame: object) -> None:
        ended_by.append(number)
        raise KeyboardInterrupt

    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(_signal, name, None)
        # Who starts a program may have it ignore them (nohup).
        if number is not None and _signal.getsignal(number) == _signal.SIG_DFL:
            _signal.signal(number, end)


# --- helpers -----------------------------------------------------------------------------------


def _maybe_traceback() -> None:
    if os.environ.get("ESPTOOL_TRACEBACK"):
        import traceback

        traceback.print_exc()


def _innermost(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return "unknown place"
    return f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}"


def warn_old_script(old: str) -> None:
    """Say that a console script with the '.py' suffix is deprecated."""
    new = old.removesuffix(".py")
    log.warning(f"DEPRECATED: '{old}' is deprecated. Please use '{new}' instead.")
