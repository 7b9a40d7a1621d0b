# SPDX-License-Identifier: Apache-2.0
"""Virtual chips behind a GDB server, and the programs of others that speak to it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator

from esptool.errors import FatalError
from esptool.transport.gdb import GdbClient
from esptool.virtual.gdb_server import GdbServer
from esptool.virtual.options import parse_url


@contextlib.contextmanager
def serving(url: str) -> Iterator[GdbServer]:
    """A virtual chip that serves debuggers meanwhile."""
    server = GdbServer(parse_url(url))
    thread = server.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(100)


def port_of(server: GdbServer) -> int:
    """The number that it listens on."""
    return int(server.url.rpartition(":")[2])


@contextlib.contextmanager
def client_of(server: GdbServer) -> Iterator[GdbClient]:
    """Our client, connected."""
    client = GdbClient("127.0.0.1", port_of(server))
    client.open()
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def qemu() -> Iterator[GdbClient]:
    """Debian's QEMU with a RISC-V processor that stands at its first instruction."""
    # A socket that listens already is handed over: a port that was only seen to be free may be
    # somebody else's a moment later. Who connects early waits in its queue.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        number = listener.fileno()
        command = (
            "qemu-system-riscv32 -M virt -display none -serial none -monitor none -bios none -S "
            f"-chardev socket,id=gdb,fd={number},server=on,wait=off -gdb chardev:gdb"
        )
        process = subprocess.Popen(command.split(), pass_fds=(number,))
    try:
        client = GdbClient("127.0.0.1", port)
        deadline = time.monotonic() + 250
        while True:
            try:
                client.open()
                break
            except FatalError:
                # It answers once it is up.
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield client
        client.close()
    finally:
        process.kill()
        process.wait()
