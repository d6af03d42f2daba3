"""The control socket with real clients: good ones, rude ones, and none at all."""

import asyncio
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.control import NAME, ControlServer, NoDaemon, ask
from hotfolder.core.control import LONGEST_REQUEST, Command, Request, request_line
from hotfolder.core.errors import HotfolderError, LocalError

SCAN = Request(Command.SCAN)


async def answer(request: Request, uid: int) -> Mapping[str, Any]:
    match request.command:
        case Command.CANCEL:
            raise HotfolderError("too late", hint="see `show`")
        case Command.RELOAD:
            raise ZeroDivisionError("a defect")
    return {"command": request.command.value, "uid": uid}


async def asked(directory: Path, request: Request = SCAN) -> dict[str, Any]:
    return await asyncio.to_thread(ask, directory, request, timeout=150)


async def said(directory: Path, sent: bytes, *, end: bool = True) -> bytes:
    """What the server says to these raw bytes."""
    reader, writer = await asyncio.open_unix_connection(str(directory / NAME))
    writer.write(sent)
    if end:
        writer.write_eof()
    told = await reader.read()
    writer.close()
    return told


async def test_a_request_is_answered_and_the_asker_known(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with ControlServer(tmp_path, answer):
            assert await asked(tmp_path) == {"command": "scan", "uid": os.getuid()}
    (line,) = [line for line in logs if line["event"] == "control.asked"]
    assert (line["uid"], line["pid"], line["command"]) == (os.getuid(), os.getpid(), "scan")
    assert not (tmp_path / NAME).exists()


async def test_who_merely_looks_is_not_worth_a_line(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with ControlServer(tmp_path, answer):
            await asked(tmp_path, Request(Command.WHY, "a"))
    assert [line["log_level"] for line in logs if line["event"] == "control.asked"] == ["debug"]


async def test_a_refusal_is_raised_and_a_defect_harms_nobody_else(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, answer):
        with pytest.raises(HotfolderError, match="too late") as refused:
            await asked(tmp_path, Request(Command.CANCEL, "a"))
        assert refused.value.hint == "see `show`"
        with capture_logs() as logs, pytest.raises(HotfolderError, match="ZeroDivisionError"):
            await asked(tmp_path, Request(Command.RELOAD))
        assert "control.failed" in {line["event"] for line in logs}
        assert (await asked(tmp_path))["command"] == "scan"


async def test_rude_clients_are_told_or_dropped_and_the_next_is_served(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, answer):
        assert b"no JSON" in await said(tmp_path, b"hello\n")
        assert b"broke off" in await said(tmp_path, request_line(SCAN)[:-1])
        assert b"longer than" in await said(tmp_path, b"x" * (LONGEST_REQUEST + 10), end=False)
        assert b"longer than" in await said(tmp_path, b"x" * (LONGEST_REQUEST + 10) + b"\n")
        assert await said(tmp_path, b"") == b""
        _, gone = await asyncio.open_unix_connection(str(tmp_path / NAME))
        gone.write(request_line(SCAN))
        gone.transport.abort()
        assert (await asked(tmp_path))["command"] == "scan"


async def test_a_client_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, answer, read_timeout=0.05):
        assert b"no request came" in await said(tmp_path, b'{"version"', end=False)


async def test_a_slow_command_holds_nobody_and_the_end_cuts_it_off(tmp_path: Path) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def answer_slowly(request: Request, uid: int) -> Mapping[str, Any]:
        if request.command is Command.RELOAD:
            begun.set()
            await never.wait()
        return {"uid": uid}

    async with ControlServer(tmp_path, answer_slowly):
        slow = asyncio.create_task(asked(tmp_path, Request(Command.RELOAD)))
        await begun.wait()
        assert await asked(tmp_path) == {"uid": os.getuid()}
    with pytest.raises(LocalError, match="before it answered"):
        await slow


async def test_a_crowd_is_refused_and_not_queued(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, answer):
        crowd = [await asyncio.open_unix_connection(str(tmp_path / NAME)) for _ in range(40)]
        told = [asyncio.create_task(reader.read()) for reader, _ in crowd]
        done, waiting = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        assert all(b"too many" in task.result() for task in done)
        for _, writer in crowd:
            writer.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await asked(tmp_path))["command"] == "scan"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_owner_and_group_may_ask_and_nobody_else(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        async with ControlServer(tmp_path, answer):
            assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o660
    finally:
        os.umask(former)


async def test_a_killed_daemons_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / NAME))
    with pytest.raises(NoDaemon, match="no daemon answers"):
        await asked(tmp_path)
    async with ControlServer(tmp_path, answer):
        assert (await asked(tmp_path))["command"] == "scan"


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("somebody's notes")
    with pytest.raises(LocalError, match=r"cannot make the control socket"):
        await ControlServer(tmp_path, answer).__aenter__()
    assert (tmp_path / NAME).read_text() == "somebody's notes"


async def test_a_state_folder_with_a_long_path_has_one_too(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with pytest.raises(NoDaemon, match="no daemon answers"):
        await asked(deep)
    async with ControlServer(deep, answer):
        assert (await asked(deep))["command"] == "scan"
    assert list(deep.iterdir()) == []


async def test_where_there_is_no_state_folder_there_is_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        await asked(tmp_path / "nowhere")


def test_a_daemon_that_is_silent_is_said_to_be(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / NAME))
        listening.listen()
        with pytest.raises(LocalError, match="did not answer"):
            ask(tmp_path, SCAN, timeout=0.05)
