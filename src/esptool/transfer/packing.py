# SPDX-License-Identifier: Apache-2.0
"""Deflating data for the line, ahead of its use and once for all devices that get the same."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

#: The best level: a byte less on the line is worth more than the work.
LEVEL = 9
#: Contents whose result is kept, and the size from which a thread is worth starting.
KEPT = 32
THREAD_FROM = 0x4000

_lock = threading.Lock()
_results: OrderedDict[bytes, Future[bytes | None]] = OrderedDict()
_pool: ThreadPoolExecutor | None = None


def deflate(data: bytes) -> bytes | None:
    """`data` as a zlib stream, or None where that is not shorter."""
    packed = zlib.compress(data, LEVEL)
    return packed if len(packed) < len(data) else None


def prepare(data: bytes) -> None:
    """Begin to deflate `data` beside other work; `packed` gives the result."""
    if len(data) >= THREAD_FROM:
        _future(data)


def packed(data: bytes) -> bytes | None:
    """The result of `deflate`, from a running or finished preparation where there is one."""
    if len(data) < THREAD_FROM:
        return deflate(data)
    return _future(data).result()


def forget(data: bytes) -> None:
    """`data` have been sent, and are too large to be kept for others."""
    with _lock:
        _results.pop(data, None)


def _future(data: bytes) -> Future[bytes | None]:
    global _pool
    with _lock:
        found = _results.get(data)
        if found is not None:
            _results.move_to_end(data)
            return found
        if _pool is None:
            _pool = ThreadPoolExecutor(2, "deflate")
        future = _results[data] = _pool.submit(deflate, data)
        while len(_results) > KEPT:
            _results.popitem(last=False)
        return future
