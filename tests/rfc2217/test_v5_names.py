# SPDX-License-Identifier: Apache-2.0
"""The v5 classes with which programs lend a port over sockets of their own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import serial

import esptool
from esp_rfc2217_server import esp_port_manager
from esp_rfc2217_server.esp_port_manager import EspPortManager
from esp_rfc2217_server.redirector import Redirector


@contextmanager
def lent(url: str) -> Iterator[str]:
    """A port that one client may use by the URL that this gives."""
    port = serial.serial_for_url(url)
    port.timeout = 0.05
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                Redirector(port, client).shortcircuit()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"rfc2217://127.0.0.1:{listener.getsockname()[1]}?ign_set_control"
        thread.join(timeout=100)
        assert not thread.is_alive()
    port.close()


@pytest.mark.filterwarnings(  # of pyserial
    r"ignore:set(Daemon|Name)\(\) is deprecated:DeprecationWarning"
)
def test_a_chip_answers_through_a_redirector() -> None:
    with (
        lent("virtual://esp32c3") as url,
        esptool.connect_esp(url) as esp,
    ):
        assert esp.CHIP_NAME == "ESP32-C3"


def test_a_malformed_request_ends_the_redirector_of_that_client() -> None:
    with lent("virtual://esp32c3") as url:
        number = int(url.split(":")[2].partition("?")[0])
        with socket.create_connection(("127.0.0.1", number)) as client:
            client.settimeout(60)
            client.sendall(b"\xff\xfa\x2c\x01\xff\xf0")
            while client.recv(4096):
                pass


@pytest.mark.parametrize(
    ("changes", "played"),
    [
        ("\x09\x0b\x08\x0c\x09", ["download"]),  # DTR off, RTS on, DTR on, RTS off, DTR off
        ("\x0b\x0c", ["application"]),
        ("\x08\x0c\x09\x0c", ["download", "application"]),
    ],
    ids=["into download mode", "hard reset", "one after the other"],
)
def test_a_program_may_replace_the_resets(changes: str, played: list[str]) -> None:
    done: list[str] = []
    sent: list[bytes] = []

    class Mine(EspPortManager):
        def _start(self, sequence: Any) -> None:
            sequence()

        def _reset_thread(self) -> None:
            done.append("download")

        def _hard_reset_thread(self) -> None:
            done.append("application")

    class Client:
        write = staticmethod(sent.append)

    manager = Mine(serial.serial_for_url("loop://"), Client(), False)
    sent.clear()
    for change in changes.encode("latin-1"):
        manager._telnet_process_subnegotiation(bytes((0x2C, 5, change)))
    assert done == played
    assert len(sent) == len(changes), "each change is acknowledged"


def test_the_settings_are_those_of_the_configuration_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "esptool.cfg").write_text("[esptool]\ncustom_reset_sequence = D0|R1\n")
    monkeypatch.chdir(tmp_path)
    assert esp_port_manager.cfg.get("custom_reset_sequence") == "D0|R1"
    assert esp_port_manager.cfg.get("custom_hard_reset_sequence") is None
