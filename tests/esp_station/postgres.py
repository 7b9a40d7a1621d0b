# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of Debian's package, in a scratch folder and as an unprivileged user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USER = "postgres"


def tools() -> Path | None:
    """Where the server's programs are: Debian keeps them away from PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served() -> Iterator[str]:
    """The URL of an empty database, for as long as it is served."""
    where = tools()
    assert where is not None, "PostgreSQL is not installed"
    folder = tempfile.mkdtemp(prefix="esp-station-pg-", dir="/tmp")
    as_user: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL}
    as_user["stderr"] = subprocess.DEVNULL
    if os.getuid() == 0:
        # The server refuses to be root; the package has made this user.
        shutil.chown(folder, USER, USER)
        as_user |= {"user": USER, "group": USER, "extra_groups": []}
    data = os.path.join(folder, "data")
    port = _free_port()
    try:
        subprocess.run(
            [where / "initdb", "-D", data, "-A", "trust", "-U", USER, "--no-sync"],
            check=True,
            **as_user,
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        server = subprocess.Popen(
            [where / "postgres", "-D", data, *options.split()],
            **as_user,
        )
        try:
            _wait(where, port, server)
            yield f"postgresql+psycopg://{USER}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()  # no more clients, and an end once these have gone
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(where: Path, port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(4000):
        ready = subprocess.run(
            [where / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
        )
        if ready.returncode == 0:
            return
        assert server.poll() is None, "the server has ended"
        time.sleep(0.05)
    raise AssertionError("the server does not get ready")
