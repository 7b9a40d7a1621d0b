# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of Debian's package, in a scratch folder and as an unprivileged user."""

from __future__ import annotations

import os
import shutil
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
    try:
        subprocess.run(
            [where / "initdb", "-D", data, "-A", "trust", "-U", USER, "--no-sync"],
            check=True,
            **as_user,
        )
        # A socket in its own folder: a number of TCP that was only seen to be free may be somebody
        # else's by the time that the server is made.
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        server = subprocess.Popen(
            [where / "postgres", "-D", data, *options.split()],
            **as_user,
        )
        try:
            _wait(where, folder, server)
            yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
        finally:
            server.terminate()  # no more clients, and an end once these have gone
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(100)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(where: Path, folder: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(4000):
        ready = subprocess.run([where / "pg_isready", "-q", "-h", folder], check=False)
        if ready.returncode == 0:
            return
        assert server.poll() is None, "the server has ended"
        time.sleep(0.05)
    raise AssertionError("the server does not get ready")
