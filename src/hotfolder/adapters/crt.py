"""Small PUTs over awscrt, the engine inside boto3's own `crt` extra: no thread and no GIL a request.

Traps of the engine, and what is done here: it has no read timeout (own deadline, then `cancel`), but
ends what moves less than a byte a second for 30 s, and sends it again without a word; it repeats failed
requests by itself, and "0 retries" means its default of five (one is the least it takes); of a 5xx it
keeps neither status nor document (its error's name is all there is); it keys its connections by host
name without the port (one engine for one endpoint); its threads must never meet a fork without exec; it
tells a failed TLS handshake 10 to 30 s late, on purpose (s2n's blinding).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from awscrt.auth import (
    AwsCredentials,
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
)
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    TlsContextOptions,
)
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType, S3RetryConfig

from hotfolder.core.ports import Body, Scattered, SigningKeys
from hotfolder.core.pulse import Step
from hotfolder.core.refusals import Answer, Fault

# Answers of which the engine keeps the meaning only.
_ANSWERS = {
    "AWS_ERROR_S3_SLOW_DOWN": (503, ""),  # any 503, S3's own or a proxy's
    "AWS_ERROR_S3_INTERNAL_ERROR": (500, ""),  # any other 5xx, and errors inside a 200
    "AWS_ERROR_S3_REQUEST_TIMEOUT": (400, "RequestTimeout"),
    "AWS_ERROR_S3_REQUEST_TIME_TOO_SKEWED": (403, "RequestTimeTooSkewed"),
}
_FAULTS = {
    "AWS_IO_SOCKET_TIMEOUT": Fault.NO_CONNECTION,  # it times out connects only
    "AWS_IO_SOCKET_CLOSED": Fault.CUT,
    "AWS_ERROR_HTTP_CONNECTION_CLOSED": Fault.CUT,
    "AWS_ERROR_HTTP_SERVER_CLOSED": Fault.CUT,
    "AWS_ERROR_HTTP_CHANNEL_THROUGHPUT_FAILURE": Fault.TIMEOUT,
}
_CANCELLED = "AWS_ERROR_S3_CANCELED"
_LATE = 60.0  # seconds after its deadline in which the engine has surely answered
_LANDING = 5.0  # seconds that a cancelled request gets to let go of its body; it takes milliseconds
_FAULT_PREFIXES = (
    ("AWS_IO_TLS_", Fault.TLS),
    ("AWS_IO_DNS_", Fault.NO_CONNECTION),
    ("AWS_IO_SOCKET_", Fault.NO_CONNECTION),
    ("AWS_ERROR_HTTP_", Fault.CUT),
)


class CrtPutEngine:
    """A `PutEngine` for one endpoint. `connect_timeout` in seconds; at most `connections` at once.

    `ca_bundle` names the CAs that are trusted in place of the system's; it is read on first use.
    """

    sees_progress = False

    def __init__(
        self,
        *,
        region: str,
        connect_timeout: float,
        connections: int,
        ca_bundle: Path | None = None,
        threads: int = 1,
    ) -> None:
        self._region = region
        self._ca_bundle = ca_bundle
        self._connect_timeout = connect_timeout
        self._connections = connections
        group = EventLoopGroup(threads)
        self._bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
        self._clients: dict[str, Any] = {}
        self._kept: list[_KeyDelegate] = []  # all there are, for good
        self._signers: list[_KeyDelegate] = []  # those that no request uses now
        self._under_way: set[Step] = set()

    def steps(self) -> list[Step]:
        """See `PutEngine`."""
        return list(self._under_way)

    async def close(self) -> None:
        """See `PutEngine`. The engine lets go of its connections with its last reference."""
        self._clients.clear()

    async def put(
        self,
        url: str,
        headers: Mapping[str, str],
        body: Body | Scattered,
        *,
        sha256: bytes,
        keys: SigningKeys,
        deadline: float | None,
    ) -> Answer:
        """See `PutEngine`. The signature binds the body: it covers `sha256`."""
        parts = urlsplit(url)
        try:
            client = self._client(parts.scheme)
        except OSError as error:
            return Answer(0, fault=Fault.TLS, detail=f"cannot read {self._ca_bundle}: {error.strerror}")
        signer = self._take_signer()
        signer.begin(keys)
        flight = _Request(signer, self._signers)
        request = client.make_request(
            type=S3RequestType.DEFAULT,
            operation_name="PutObject",
            request=_http_request(parts.netloc, parts.path, headers, _whole(body)),
            signing_config=self._signing(signer, sha256),
            on_headers=flight.on_headers,
            on_done=flight.on_done,
        )
        begun = asyncio.get_running_loop().time()
        step = Step("crt", f"PUT {url}", begun, None if deadline is None else deadline + _LATE)
        self._under_way.add(step)
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.shield(flight.landed)
        except TimeoutError:
            answer = await flight.give_up(request)
            if answer.detail != _CANCELLED:
                return answer  # it came at the last moment
            detail = f"within {deadline:g} s"
            return Answer(0, fault=Fault.TIMEOUT, detail=detail, requests=answer.requests)
        except asyncio.CancelledError:
            await flight.give_up(request)
            raise
        finally:
            self._under_way.discard(step)

    def _take_signer(self) -> "_KeyDelegate":
        if not self._signers:
            self._kept.append(_KeyDelegate())
            return self._kept[-1]
        return self._signers.pop()

    def _client(self, scheme: str) -> Any:
        if scheme not in self._clients:
            secure = scheme == "https"
            self._clients[scheme] = S3Client(
                bootstrap=self._bootstrap,
                region=self._region,
                tls_mode=S3RequestTlsMode.ENABLED if secure else S3RequestTlsMode.DISABLED,
                tls_connection_options=self._trust() if secure else None,
                # The least it takes: one retry, and a bucket of tokens so small that under trouble
                # even that one is mostly denied. Retrying is the store adapter's, who can be stopped.
                retry_config=S3RetryConfig(
                    max_retries=1,
                    backoff_scale_factor_ms=50,
                    max_backoff_secs=1,
                    initial_bucket_capacity=1,
                ),
                connect_timeout_ms=max(1, int(self._connect_timeout * 1000)),
                max_active_connections_override=self._connections,
            )
        return self._clients[scheme]

    def _trust(self) -> Any:
        if self._ca_bundle is None:
            return None
        options = TlsContextOptions()
        options.override_default_trust_store(self._ca_bundle.read_bytes())
        return ClientTlsContext(options).new_connection_options()

    def _signing(self, signer: "_KeyDelegate", sha256: bytes) -> Any:
        return AwsSigningConfig(
            algorithm=AwsSigningAlgorithm.V4,
            signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
            service="s3",
            region=self._region,
            credentials_provider=signer.provider,
            signed_body_header_type=AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
            signed_body_value=sha256.hex(),
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
        )


class _KeyDelegate:
    """Gives the engine the keys of one request at a time, and counts how often it asked.

    Never thrown away but used again: the engine drops its last reference to a delegate from a thread
    of its own and without the GIL (awscrt 0.38, `s_credentials_provider_binding_clean_up`), which
    ends the process sooner or later. The reference here is always one more.
    """

    def __init__(self) -> None:
        self._keys = SigningKeys("", "", None)
        self.signed = 0
        self.provider = AwsCredentialsProvider.new_delegate(self._sign)

    def begin(self, keys: SigningKeys) -> None:
        self._keys, self.signed = keys, 0

    def _sign(self) -> Any:
        self.signed += 1
        return AwsCredentials(self._keys.access_key, self._keys.secret_key, self._keys.token)


class _Request:
    """One request under way: carries the engine's callbacks from its threads to the event loop."""

    def __init__(self, signer: _KeyDelegate, signers: list[_KeyDelegate]) -> None:
        self._signers = signers
        self._loop = asyncio.get_running_loop()
        self._signer = signer
        self._headers: list[tuple[str, str]] = []
        self.landed: asyncio.Future[Answer] = self._loop.create_future()

    async def give_up(self, request: Any) -> Answer:
        """Cancel, and wait until the engine has let go of the body: it is the caller's again."""
        request.cancel()
        await asyncio.wait({self.landed}, timeout=_LANDING)
        if self.landed.done():
            return self.landed.result()
        return Answer(0, fault=Fault.TIMEOUT, detail=_CANCELLED, requests=self.requests)

    @property
    def requests(self) -> int:
        """Requests sent: each is signed, which is the only trace that a repetition leaves.

        A request that was signed and then found no connection counts as well.
        """
        return max(1, self._signer.signed)

    def on_headers(self, *, headers: list[tuple[str, str]], **_: object) -> None:
        self._headers = headers

    def on_done(
        self,
        *,
        error: Exception | None,
        error_headers: list[tuple[str, str]] | None,
        error_body: bytes | None,
        status_code: int | None,
        **_: object,
    ) -> None:
        headers = {name.lower(): value for name, value in error_headers or self._headers}
        name = str(getattr(error, "name", type(error).__name__))
        if status_code is not None and (error is None or error_headers is not None):
            answer = Answer(status_code, headers, error_body or b"", requests=self.requests)
        elif name in _ANSWERS:
            status, code = _ANSWERS[name]
            answer = Answer(status, code=code, requests=self.requests)
        else:
            answer = Answer(0, fault=_fault(name), detail=name, requests=self.requests)
        # A closed loop has nobody left who waits for this answer.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._land, answer)

    def _land(self, answer: Answer) -> None:
        self._signers.append(self._signer)  # not sooner: a cancelled request may still have been signed
        self.landed.set_result(answer)


def _fault(name: str) -> Fault:
    if name in _FAULTS:
        return _FAULTS[name]
    return next((fault for prefix, fault in _FAULT_PREFIXES if name.startswith(prefix)), Fault.OTHER)


def _whole(body: Body | Scattered) -> Body:
    """In one piece, as its streams are; parts are not sent this way."""
    return body.whole() if isinstance(body, Scattered) else body


def _http_request(host: str, path: str, headers: Mapping[str, str], body: Body) -> Any:
    return HttpRequest(
        "PUT",
        path,
        HttpHeaders([("Host", host), ("Content-Length", str(len(body))), *headers.items()]),
        # BytesIO shares the memory of `bytes`; a memoryview is copied, at most once per small body.
        BytesIO(body),
    )
