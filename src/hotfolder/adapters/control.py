"""The control socket: the daemon's end, and the end of a command that asks it.

A socket's path holds 107 bytes and no more, a state folder's may be longer: both ends reach it through
an open descriptor of its folder.
"""

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from hotfolder.core import control
from hotfolder.core.control import Command, Request
from hotfolder.core.errors import HotfolderError, LocalError

log = structlog.get_logger()

NAME = "control.sock"
_MODE = 0o660  # owner and group may command
_READ_TIMEOUT = 5.0  # seconds that a client gets for its request, and for taking the answer
_MOST_CLIENTS = 32
_LOOKS = frozenset({Command.STATE, Command.WHY})  # what changes nothing

#: Carries out a request of the user with this uid; what it returns is the answer.
Answer = Callable[[Request, int], Awaitable[Mapping[str, Any]]]


class NoDaemon(LocalError):
    """Nobody answers on the control socket."""


class ControlServer:
    """Answers requests on `control.sock` in `directory`, within `async with`.

    Only for whoever holds the lock of that folder: a socket that stands there is a killed daemon's.
    Whatever a client sends, or does not read, ends its own request and nothing else. Raises
    `LocalError` where the socket cannot be made.
    """

    def __init__(self, directory: Path, answer: Answer, *, read_timeout: float = _READ_TIMEOUT) -> None:
        self._directory, self._answer, self._read_timeout = directory, answer, read_timeout
        self._place = -1
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            self._place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._clear()
            listening = self._listen()
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listening, limit=control.LONGEST_REQUEST
            )
        except OSError as error:
            self._close_place()
            raise LocalError(
                f"cannot make the control socket {self._directory / NAME}: {error.strerror}",
                hint="let the user that runs hotfolder write to the state folder",
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(OSError):  # the next start clears it
            self._clear()
        self._close_place()

    def _clear(self) -> None:
        """Take a socket away that stands there; anything else is not ours and stays."""
        with contextlib.suppress(FileNotFoundError):  # none stands there
            if stat.S_ISSOCK(os.stat(NAME, dir_fd=self._place, follow_symlinks=False).st_mode):
                os.unlink(NAME, dir_fd=self._place)

    def _listen(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The mode of the descriptor bounds that of the name, from the first moment on.
            os.fchmod(listening.fileno(), _MODE)
            listening.bind(_short(self._place))
            os.chmod(_short(self._place), _MODE)  # what the umask took
        except BaseException:
            listening.close()
            raise
        return listening

    def _close_place(self) -> None:
        if self._place >= 0:
            os.close(self._place)
        self._place = -1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        pid, uid = _peer(writer)
        try:
            line = await self._line_for(reader, pid, uid)
            if line:
                writer.write(line)
                async with asyncio.timeout(self._read_timeout):
                    await writer.drain()
        except (OSError, TimeoutError) as error:
            log.info("control.unheard", pid=pid, uid=uid, reason=str(error) or "no longer listening")
            writer.transport.abort()
        finally:
            writer.close()

    async def _line_for(self, reader: asyncio.StreamReader, pid: int, uid: int) -> bytes:
        """The answer to the one line that the client sends; empty where it sends nothing."""
        try:
            request = await self._request(reader)
            if request is None:
                return b""
            self._tell(request, pid, uid)
            return control.answer_line(await self._answer(request, uid))
        except HotfolderError as error:
            log.info("control.refused", reason=error.sentence, uid=uid, pid=pid)
            return control.refusal_line(error)
        except Exception as defect:
            log.exception("control.failed", uid=uid, pid=pid)
            return control.refusal_line(
                HotfolderError(
                    f"the daemon failed on this request: {type(defect).__name__}: {defect}",
                    hint="its log says more; it goes on",
                )
            )

    @staticmethod
    def _tell(request: Request, pid: int, uid: int) -> None:
        facts = {"command": request.command.value, "wanted": request.wanted or request.group or None}
        if request.command in _LOOKS:  # they change nothing, and may come often
            log.debug("control.asked", **facts, uid=uid, pid=pid)
        else:
            log.info("control.asked", **facts, uid=uid, pid=pid)

    async def _request(self, reader: asyncio.StreamReader) -> Request | None:
        if len(self._clients) > _MOST_CLIENTS:
            raise HotfolderError("too many commands at once", hint="try again in a moment")
        try:
            async with asyncio.timeout(self._read_timeout):
                line = await reader.readline()
        except TimeoutError as error:
            raise HotfolderError(f"no request came within {self._read_timeout:g} s") from error
        except ValueError as error:  # asyncio's word for a line beyond the limit
            most = control.LONGEST_REQUEST
            raise HotfolderError(f"the request is longer than {most} bytes") from error
        if not line:
            return None
        if not line.endswith(b"\n"):
            raise HotfolderError("the request broke off before the end of its line")
        return control.request_of(line)


def ask(directory: Path, request: Request, *, timeout: float) -> dict[str, Any]:
    """Send `request` to the daemon of the state folder `directory` and return what it answers.

    Raises `NoDaemon`, `LocalError` (it may not be asked, or is silent for `timeout` seconds), and the
    refusals of the daemon, as `core.control.result_of`.
    """
    where = directory / NAME
    try:
        with _connected(directory) as connection:
            connection.settimeout(timeout)
            connection.sendall(control.request_line(request))
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answers:
                line = answers.readline(control.LONGEST_ANSWER)
    except TimeoutError as error:
        raise LocalError(
            f"the daemon did not answer on {where} within {timeout:g} s",
            hint="`hotfolder status` and its log say what it is doing",
        ) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoDaemon(
            f"no daemon answers on {where}",
            hint="start it with `hotfolder run`, or name its configuration with --config; where "
            "state_dir was changed, a running daemon still uses the former one: put that back first",
        ) from error
    except PermissionError as error:
        raise LocalError(
            f"you may not use {where}",
            hint="call this as the user that runs the daemon, or as a member of its group",
        ) from error
    except OSError as error:
        raise LocalError(
            f"the daemon's answer on {where} broke off: {error.strerror or error}",
            hint="`hotfolder status` and its log say whether it ended",
        ) from error
    if not line.endswith(b"\n"):
        raise LocalError(
            f"the daemon ended before it answered on {where}", hint="its log says why it ended"
        )
    return control.result_of(line)


@contextlib.contextmanager
def _connected(directory: Path) -> Iterator[socket.socket]:
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5.0)
            connection.connect(_short(place))
            yield connection
    finally:
        os.close(place)


def _short(place: int) -> str:
    """A path to the socket that fits into a socket's address, however long the folder's is."""
    return f"/proc/self/fd/{place}/{NAME}"


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """Process and user at the other end, as the kernel knows them."""
    connection = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid
