"""One connection, and the request that uses it: HTTP/1.1 as a protocol of the event loop.

The answer is parsed by llhttp (through httptools); here is only what a PUT's answer can be. Nothing is
ever sent twice, and nothing is decided: what came is an `Answer`, and so is what went wrong.
"""

import asyncio
import math
from dataclasses import dataclass

import httptools

from hotfolder import tcp
from hotfolder.adapters.direct.unsent import Unsent
from hotfolder.core.allowance import Owner, Place
from hotfolder.core.ports import Body, Limiter, Scattered
from hotfolder.core.refusals import Answer, Fault
from hotfolder.core.stalls import Bounds, Phase, Progress, Stall, Traffic

_AT_ONCE = 64 * 1024  # bytes of a body that go out with their head, as one piece
#: Bytes that are handed to the transport at a time: a MiB that was stored, with its headers, in four.
_PIECE = 264 * 1024
#: Bytes that go out in one turn of the event loop. A store that takes them as fast as they come would
#: have a whole part in one, and all that is read, packed and answered meanwhile would wait.
_A_TURN = 1024 * 1024
_NAP = 0.2  # seconds after which it is looked again whether it may send: the limit may be another
_MAX_DOCUMENT = 64 * 1024  # bytes of an answer's body that are kept
_MAX_HEAD = 256 * 1024  # bytes without an answer's head: that is no HTTP
#: What was read last, of whichever connection: it is parsed before anything else is read.
_BUFFER = memoryview(bytearray(64 * 1024))
_OK = 200  # what is below it announces an answer, and is none


@dataclass(slots=True)
class _Turn:
    """A piece of `size` bytes that waits for its place in the row of all that is sent."""

    size: int
    place: Place
    timer: asyncio.TimerHandle | None = None


class Connection(asyncio.BufferedProtocol):
    """A connection to the store: free, or at work for one request."""

    def __init__(self, limiter: Limiter | None = None) -> None:
        self._limiter = limiter
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._rest: Unsent | None = None  # of the body: what the transport does not have yet
        self._paused = False
        self._turn: _Turn | None = None  # of the next piece, while there is a limit
        self._sender = Owner()  # of the body, where it may have to wait
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._document = b""
        self._heard = 0  # bytes of the answer
        self._progress: Progress | None = None
        self.about = ""
        self.begun = 0.0

    @property
    def is_free(self) -> bool:
        """Whether another request can use it."""
        transport = self._transport
        return self._answer is None and transport is not None and not transport.is_closing()

    @property
    def is_lost(self) -> bool:
        """Whether its socket is closed."""
        return self._transport is None

    @property
    def alive_at(self) -> float:
        """When the request last got on, as far as it was looked at; monotonic seconds."""
        return self.begun if self._progress is None else self._progress.alive_at

    def begin(self, about: str, head: bytes, body: Body | Scattered) -> "asyncio.Future[Answer]":
        """Send a request; the future gets its answer, or the fault that took its place."""
        if self._transport is None or self._answer is not None:
            raise RuntimeError("a connection has one request at a time")
        self.about, self.begun, self._progress = about, self._loop.time(), None
        self._status, self._headers, self._document, self._heard = 0, {}, b"", 0
        self._answer = answer = self._loop.create_future()
        if self._limit is None and len(body) <= _AT_ONCE and not isinstance(body, Scattered):
            self._transport.write(head + body)
        else:
            # Of this task; it goes on outside of it, and there may be a limit by then.
            self._sender = Owner() if self._limiter is None else self._limiter.sender()
            if self._limit is not None:
                self._limit.ask(len(head), self._sender)  # it counts, and is too small to wait for
            self._transport.write(head)
            self._rest = Unsent(body) if body else None
            self._send_on()
        return answer

    def end(self) -> None:
        """Give the request up: nothing of its body is read or sent from here on."""
        waiting, self._answer = self._answer, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(0, fault=Fault.CUT, detail="given up"))
        self._send_no_more()
        if self._transport is not None:
            self._transport.abort()

    def look(self, bounds: Bounds, sharing: int) -> bool:
        """End the request where it does not get on; returns whether anything moved meanwhile."""
        if self._progress is None:
            self._progress = Progress(bounds, self.begun)
        before = self._progress.moved
        most = math.inf if self._limiter is None else self._limiter.rate
        stall = self._progress.look(self._phase(), self._traffic(), self._loop.time(), sharing, most)
        if stall is not None:
            self._stalled(stall)
        return self._progress.moved > before

    def _phase(self) -> Phase:
        if self._status:
            return Phase.READING
        return Phase.WAITING if self._rest is None else Phase.SENDING

    def _traffic(self) -> Traffic | None:
        transport = self._transport
        # Where TLS has ended there is no socket any more, a turn before we are told of it.
        line = None if transport is None else transport.get_extra_info("socket")
        seen = None if line is None else tcp.traffic(line)
        if seen is None or transport is None:
            return None
        # What waits for its turn under a limit is our delay, not the store's.
        rest = 0 if self._rest is None or self._turn is not None else len(self._rest)
        return Traffic(seen.moved, seen.queued + transport.get_write_buffer_size() + rest)

    def _stalled(self, stall: Stall) -> None:
        self._finish(Answer(0, fault=stall.fault, detail=stall.detail), keep=False)

    # -- the event loop's calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # of a protocol it is always one

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None:
            self._finish(self._ended(exc), keep=False)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_on()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the port of the event loop
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None:  # nobody asked: an apology for closing, or no HTTP at all
            self.end()
            return
        self._heard += nbytes
        try:
            self._parser.feed_data(_BUFFER[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._unreadable(f"no answer in HTTP: {error}")  # or something behind the answer
            return
        if self._heard > _MAX_HEAD and not self._status:
            self._unreadable(f"an answer whose head has more than {_MAX_HEAD} bytes")

    # -- llhttp's calls ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise ValueError("an answer to nothing")  # it comes out of `feed_data` as llhttp's own

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if len(self._document) < _MAX_DOCUMENT:
            self._document += data[: _MAX_DOCUMENT - len(self._document)]

    def on_message_complete(self) -> None:
        if self._status < _OK:
            self._status, self._headers = 0, {}
            return
        answer = Answer(self._status, self._headers, self._document)
        self._finish(answer, keep=self._parser.should_keep_alive() and self._all_sent())

    # ------------------------------------------------------------------------------------------------

    def _all_sent(self) -> bool:
        """Whether all was handed over: a store that answers before listens no more."""
        transport = self._transport
        return transport is not None and self._rest is None and not transport.get_write_buffer_size()

    def _send_on(self) -> None:
        given = 0
        while self._rest is not None and not self._paused and self._transport is not None:
            if given >= _A_TURN:
                self._loop.call_soon(self._go_on, self._answer)
                return
            size = _PIECE if self._limit is None and self._turn is None else self._due(len(self._rest))
            if not size:
                return
            for piece in self._rest.take(size):
                self._transport.write(piece)
                given += len(piece)
            if not self._rest:
                self._rest = None

    def _go_on(self, answer: "asyncio.Future[Answer] | None") -> None:
        """Send on, if the request still is the one that waits for `answer`."""
        if answer is self._answer:
            self._send_on()

    @property
    def _limit(self) -> Limiter | None:
        """The limiter while it limits anything."""
        limiter = self._limiter
        return None if limiter is None or limiter.rate == math.inf else limiter

    def _due(self, rest: int) -> int:
        """How many bytes may be sent now; 0: their turn comes later, and then it goes on by itself."""
        limiter = self._limiter
        if limiter is None:
            return _PIECE
        if self._turn is None:
            size = min(limiter.piece(), rest)
            self._turn = _Turn(size, limiter.ask(size, self._sender))
        turn = self._turn
        if turn.timer is not None:
            turn.timer.cancel()
        seconds = limiter.wait(turn.place)
        if seconds > 0:
            turn.timer = self._loop.call_later(min(seconds, _NAP), self._send_on)
            return 0
        self._turn = None
        return turn.size

    def _send_no_more(self) -> None:
        turn, self._turn, self._rest = self._turn, None, None
        if turn is not None and turn.timer is not None:
            turn.timer.cancel()

    def _ended(self, error: Exception | None) -> Answer:
        """What the end of the connection says of the request."""
        lengths = {"content-length", "transfer-encoding"} & self._headers.keys()
        if self._status and not lengths and error is None:
            return Answer(self._status, self._headers, self._document)  # its end is how it ends
        why = str(getattr(error, "strerror", None) or error or "the store closed the connection")
        return Answer(0, fault=Fault.CUT, detail=why)

    def _unreadable(self, detail: str) -> None:
        self._finish(Answer(0, fault=Fault.OTHER, detail=detail), keep=False)

    def _finish(self, answer: Answer, *, keep: bool) -> None:
        waiting, self._answer = self._answer, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        if not keep:
            self.end()
