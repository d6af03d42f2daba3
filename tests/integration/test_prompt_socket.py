"""Sockets that keep the interpreter: they do what sockets do, and the engine's connections have them."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotfolder.adapters.direct.prompt import BUFFER, PromptSocket, make_prompt


@pytest.fixture
def pair() -> Iterator[tuple[PromptSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with PromptSocket(fileno=ours.detach()) as prompt, theirs:
        prompt.setblocking(False)
        yield prompt, theirs


def _until_refused(step: Callable[[], int]) -> int:
    done = 0
    while True:
        try:
            done += step()
        except BlockingIOError:
            return done


def test_bytes_go_and_come(pair: tuple[PromptSocket, socket.socket]) -> None:
    prompt, theirs = pair
    assert prompt.send(b"GET") == len(b"GET")
    assert theirs.recv(10) == b"GET"
    theirs.sendall(b"answer")
    assert prompt.recv_into(BUFFER) == len(b"answer")
    assert bytes(BUFFER[:6]) == b"answer"


@pytest.mark.parametrize("piece", [b"x" * 1000, bytearray(1000), memoryview(bytes(100_000))])
def test_what_has_no_room_is_taken_in_part_and_then_refused(
    pair: tuple[PromptSocket, socket.socket], piece: bytes
) -> None:
    """So that an event loop waits until there is some."""
    prompt, theirs = pair
    theirs.setblocking(False)
    sent = _until_refused(lambda: prompt.send(piece))
    assert _until_refused(lambda: len(theirs.recv(1 << 20))) == sent > 0


def test_nothing_to_read_and_the_end_are_told_apart(pair: tuple[PromptSocket, socket.socket]) -> None:
    prompt, theirs = pair
    with pytest.raises(BlockingIOError):
        prompt.recv_into(BUFFER)
    other = bytearray(10)
    with pytest.raises(BlockingIOError):
        prompt.recv_into(other)
    theirs.close()
    assert prompt.recv_into(BUFFER) == prompt.recv_into(other) == 0
    with pytest.raises(BrokenPipeError):
        prompt.send(b"more")


def test_one_that_is_closed_is_an_error(pair: tuple[PromptSocket, socket.socket]) -> None:
    prompt, _ = pair
    prompt.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        prompt.send(b"x")


async def test_the_event_loop_calls_it() -> None:
    """It reaches for the socket that asyncio hides: should that move, this fails."""
    calls: list[str] = []

    class Counted(PromptSocket):
        __slots__ = ()

        def send(self, data: Any, flags: int = 0, /) -> int:
            calls.append("send")
            return super().send(data, flags)

        def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
            calls.append("recv_into")
            return super().recv_into(buffer, nbytes, flags)

    class Echoed(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.heard = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the port of the event loop
            return BUFFER

        def buffer_updated(self, nbytes: int) -> None:
            self.heard.set_result(bytes(BUFFER[:nbytes]))

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        transport, protocol = await asyncio.get_running_loop().create_connection(
            Echoed, "127.0.0.1", port
        )
        make_prompt(transport)
        inner = transport.get_extra_info("socket")._sock
        assert type(inner) is PromptSocket
        inner.__class__ = Counted
        transport.write(b"ping")
        assert await protocol.heard == b"ping"
        transport.close()
    assert calls[:2] == ["send", "recv_into"]
