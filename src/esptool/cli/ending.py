# SPDX-License-Identifier: Apache-2.0
"""How the programs end: every outcome becomes an exit code and a line or two. Needs no parser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from esptool.errors import FatalError
from esptool.logger import log


def run(main: Callable[[], None]) -> NoReturn:
    """Run a program's `main` and end the process with the exit code that belongs to the outcome.

    0 when it went well, 2 after any error or an interruption (shown in a line or two on standard
    error). ESPTOOL_TRACEBACK=1 shows where an error came from.
    """
    code = 0
    try:
        main()
        _flush()
    except KeyboardInterrupt as e:
        text = str(e)
        log.error(f"Interrupted.{' ' + text if text else ''}")
        code = 2
    except BrokenPipeError:
        # The reader has gone (e.g. `| head`); keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except FatalError as e:
        _maybe_traceback()
        log.error(f"A fatal error occurred: {e}")
        code = 2
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 2
    except Exception as e:
        _maybe_traceback()
        where = _innermost(e)
        log.error(
            f"A fatal error occurred: unexpected {type(e).__name__}: {e} ({where}). "
            "Set ESPTOOL_TRACEBACK=1 to see more, and please report it."
        )
        code = 2
    sys.exit(code)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


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
