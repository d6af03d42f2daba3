"""A proxy on loopback that takes no access key but those that are valid; it says why, as S3 does."""

import http.client
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

_PROBES = "/.hotfolder-check/"
_EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


class KeyDesk:
    """Stands before `port` of loopback while used as a context manager.

    `expired` holds access keys that are refused with ExpiredToken. `parts` are the part numbers that
    the store took, in order; `created` the uploads begun; `refused` counts refusals. With `limit`
    the key in use expires by itself once so many parts were let through.
    What a daemon sends to see what the store does (below `.hotfolder-check`) is not counted.
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.expired: set[str] = set()
        self.limit: int | None = None
        self.parts: list[int] = []
        self.created = 0
        self.refused = 0
        self.let_through = 0
        self.changed = threading.Condition()
        desk = self

        class Counter(_Counter):
            at = desk

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
        self._server.daemon_threads = True

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def admits(self, access_key: str, path: str) -> bool:
        with self.changed:
            if self.limit is not None and "partNumber=" in path and _PROBES not in path:
                self.let_through += 1
                if self.let_through > self.limit:
                    # Not before the others are there: a refusal stops what is under way.
                    self.changed.wait_for(lambda: len(self.parts) >= (self.limit or 0), 150)
                    self.expired.add(access_key)
                    self.limit = None
            self.refused += access_key in self.expired
            return access_key not in self.expired

    def note(self, method: str, path: str, status: int) -> None:
        asked = parse_qs(urlsplit(path).query, keep_blank_values=True)
        if status != http.client.OK or _PROBES in path:
            return
        with self.changed:
            self.changed.notify_all()
            if method == "PUT" and "partNumber" in asked:
                self.parts.append(int(asked["partNumber"][0]))
            self.created += method == "POST" and "uploads" in asked


class _Counter(BaseHTTPRequestHandler):
    """One connection: requests are passed on whole, with the Host that was signed."""

    protocol_version = "HTTP/1.1"
    at: KeyDesk

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        access_key = self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        if not self.at.admits(access_key, self.path):
            self._answer(http.client.BAD_REQUEST, {}, _EXPIRED)
            return
        store = http.client.HTTPConnection("127.0.0.1", self.at.behind)
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            store.putheader(name, value)
        store.endheaders(body)
        answer = store.getresponse()
        content = answer.read()
        self.at.note(self.command, self.path, answer.status)
        headers = {n: v for n, v in answer.getheaders() if n.lower() not in {"transfer-encoding"}}
        store.close()
        self._answer(answer.status, headers, content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it so
        """Silent: pytest shows what a test prints."""

    def _serve(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # either side may go: what was refused is called off
            self._pass_on()
            self.close_connection = False

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the base names them so
