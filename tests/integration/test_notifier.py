"""Talking to systemd, with a real datagram socket in its place."""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.systemd import Notifier


def listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.bind(address)
    return listener


def received(listener: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(listener.recv(65536).decode())
        except BlockingIOError:
            return messages


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    return path


@pytest.fixture
def systemd(path: str) -> Iterator[socket.socket]:
    with listen(path) as listener:
        yield listener


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    with closing(Notifier()) as notifier:
        yield notifier


def test_every_message_in_systemds_words(notifier: Notifier, systemd: socket.socket) -> None:
    notifier.ready()
    notifier.status("uploading 3 files")
    notifier.watchdog()
    notifier.stopping()
    assert received(systemd) == ["READY=1", "STATUS=uploading 3 files", "WATCHDOG=1", "STOPPING=1"]


def test_a_status_is_utf8_and_holds_no_other_command(notifier: Notifier, systemd: socket.socket) -> None:
    notifier.status("Übung 🎬 \udcff\nMAINPID=1")
    assert received(systemd) == ["STATUS=Übung 🎬 \\udcff MAINPID=1"]


def test_a_status_is_never_too_long(notifier: Notifier, systemd: socket.socket) -> None:
    notifier.status("🎬" * 1_000_000)
    assert received(systemd) == ["STATUS=" + "🎬" * 500]


def test_a_reload_is_told_with_its_moment(notifier: Notifier, systemd: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.ready()
    reloading, ready = received(systemd)
    word, moment = reloading.splitlines()
    assert (word, ready) == ("RELOADING=1", "READY=1")
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_an_abstract_socket_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"hotfolder-test-{secrets.token_hex(8)}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listen(f"\0{name}") as listener, closing(Notifier()) as notifier:
        notifier.watchdog()
        assert received(listener) == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/nowhere/notify"])
def test_outside_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    with capture_logs() as logs:
        notifier = Notifier()
        notifier.ready()
        notifier.status("idle")
        notifier.watchdog()
        notifier.stopping()
        notifier.close()
    assert logs == []


def test_a_vanished_socket_is_told_once_and_found_again(
    notifier: Notifier, systemd: socket.socket, path: str
) -> None:
    systemd.close()
    Path(path).unlink()
    with capture_logs() as logs:
        notifier.ready()
        notifier.watchdog()
        notifier.status("idle")
    assert [log["event"] for log in logs] == ["systemd.notify_failed"]
    with listen(path) as again:
        notifier.watchdog()
        notifier.watchdog()
        assert received(again) == ["READY=1\nWATCHDOG=1", "WATCHDOG=1"]


def test_a_full_socket_never_blocks_and_ready_is_not_lost(
    notifier: Notifier, systemd: socket.socket
) -> None:
    for _ in range(1000):
        notifier.watchdog()
    waiting = len(received(systemd))
    assert 0 < waiting < 1000
    for _ in range(1000):
        notifier.watchdog()
    notifier.ready()
    received(systemd)
    notifier.watchdog()
    assert received(systemd) == ["READY=1\nWATCHDOG=1"]


def test_a_closed_notifier_is_silent(notifier: Notifier, systemd: socket.socket) -> None:
    notifier.close()
    notifier.ready()
    assert received(systemd) == []
