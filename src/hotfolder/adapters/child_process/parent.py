"""Our end of a process of our own: started, asked, ended.

It inherits nothing but one socket: no descriptor, no environment (which may hold keys), no terminal; its
session is its own, so that what a terminal sends to ours does not reach it. It ends when that socket is
closed, which the kernel sees to, however we end.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Callable

from hotfolder.adapters.child_process.framing import LENGTH, framed

_START = 60.0  # seconds until the first message; a busy machine takes its time
_END = 5.0  # seconds that it gets to end by itself
_MOST_SAID = 4096  # bytes of what it wrote to stderr that are told


class ChildProcess(asyncio.Protocol):
    """Our end, owned by the event loop. Make it with `start`."""

    def __init__(self, on_message: Callable[[bytes], object], on_end: Callable[[str], object]) -> None:
        self._on_message, self._on_end = on_message, on_end
        self._process: Process | None = None
        self._transport: asyncio.Transport | None = None
        self._got = bytearray()
        self._first: asyncio.Future[bytes] | None = asyncio.get_running_loop().create_future()
        self._reaping: asyncio.Task[None] | None = None
        self._is_wanted = True

    @classmethod
    async def start(
        cls,
        module: str,
        *,
        greeting: bytes,
        on_message: Callable[[bytes], object],
        on_end: Callable[[str], object],
    ) -> "ChildProcess":
        """Run `module.main()`, which says `greeting` first: another one is of another version of us.

        `on_end` is told why it has ended, once and only where nobody asked for it with `end`.
        Raises OSError where it does not start.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            _, child = await loop.create_connection(lambda: cls(on_message, on_end), sock=ours)
            try:
                child._process = await _spawn(module, theirs)
            except BaseException:
                child._close()
                raise
        child._reaping = asyncio.create_task(child._reap(child._process))
        try:
            await child._greeted(greeting)
        except BaseException:
            await child.end()
            raise
        return child

    def send(self, message: bytes) -> None:
        """Does nothing after the end: `on_end` says what follows."""
        if self._transport is not None:
            self._transport.write(framed(message))

    def kill(self) -> None:
        """End it at once, whatever it does; nothing more is heard of it."""
        self._close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                self._process.kill()

    async def end(self) -> None:
        """Let it end; kills it where it does not. Nothing more is heard of it."""
        self._close()
        if self._reaping is None:
            return
        await asyncio.wait([self._reaping], timeout=_END)
        self.kill()  # what hangs on a disk outlives even that, until the disk answers
        await asyncio.wait([self._reaping], timeout=_END)

    async def _greeted(self, greeting: bytes) -> None:
        if self._first is None:
            return
        try:
            async with asyncio.timeout(_START):
                said = await self._first
        except TimeoutError as error:
            raise OSError(f"it says nothing for {_START:g} s") from error
        finally:
            self._first = None
        if said != greeting:
            raise OSError(f"it is {said!r} instead of {greeting!r}")

    def _close(self) -> None:
        self._is_wanted = False
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def _reap(self, process: Process) -> None:
        """Wait for its end, with what it says of it."""
        said = b""
        if process.stderr is not None:
            while piece := await process.stderr.read(_MOST_SAID):
                said = (said + piece)[-_MOST_SAID:]
        code = await process.wait()
        lines = said.decode(errors="replace").strip().splitlines()
        why = f"{lines[-1] if lines else 'it has ended'} (exit {code})"
        wanted, self._is_wanted = self._is_wanted, False
        self._close()
        if self._first is not None:
            if not self._first.done():
                self._first.set_exception(OSError(why))
        elif wanted:
            self._on_end(why)

    # -- the event loop's calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # of a protocol it is always one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - its end is `_reap`'s to tell
        self._transport = None

    def data_received(self, data: bytes) -> None:
        got = self._got
        got += data
        while len(got) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(got)[0]
            if len(got) < end:
                return
            message = bytes(got[LENGTH.size : end])
            del got[:end]
            if self._first is not None:
                if not self._first.done():
                    self._first.set_result(message)
            elif self._is_wanted:
                self._on_message(message)


async def _spawn(module: str, theirs: socket.socket) -> Process:
    code = f"import sys; sys.path[:] = sys.argv[1:]; from {module} import main; main()"
    # -I: neither the environment nor the folder it stands in says what is imported, but our own path.
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-X", "utf8", "-c", code),
        *filter(None, sys.path),
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        start_new_session=True,
    )
