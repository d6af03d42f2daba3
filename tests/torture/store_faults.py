"""The store's half of the matrix: what may be wrong between hotfolder and a store, as scenarios."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support import fault_proxy as fp
from tests.support.box import Box
from tests.support.certificates import make_authority
from tests.support.fault_proxy import FaultProxy, Operation, Rule, refuse
from tests.torture.scenario import Fault, Scenario, configure

Prepare = Callable[[Box], AbstractContextManager[Fault]]
POISON = "poison"
#: A name of the store of which no resolver knows without our hosts file.
_NAME = "store.localhost"
#: A private /etc/hosts: all engines ask the C library, and that reads the file each time.
_OWN_HOSTS = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"',
)


@dataclass(slots=True)
class Spoilt:
    """Requests and answers are spoilt by rules."""

    proxy: FaultProxy
    rules: Sequence[Rule]

    def begin(self) -> None:
        self.proxy.obey(self.rules)

    def end(self) -> None:
        self.proxy.obey_none()

    def has_struck(self) -> bool:
        return bool(self.proxy.struck)


@dataclass(slots=True)
class Refusing:
    """Nobody listens."""

    proxy: FaultProxy

    def begin(self) -> None:
        self.proxy.refuse_connections()

    def end(self) -> None:
        self.proxy.take_connections()


@dataclass(slots=True)
class BadHandshakes:
    """The server shows a certificate that nobody vouches for."""

    proxy: FaultProxy

    def begin(self) -> None:
        self.proxy.fail_handshakes(True)

    def end(self) -> None:
        self.proxy.fail_handshakes(False)

    def has_struck(self) -> bool:
        return bool(self.proxy.struck)


@dataclass(slots=True)
class Nameless:
    """The store's name cannot be resolved."""

    proxy: FaultProxy
    hosts: Path

    def begin(self) -> None:
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.proxy.refuse_connections()  # the engine's cache would find it a while longer
        self.proxy.take_connections()

    def end(self) -> None:
        self.hosts.write_text(f"127.0.0.1 localhost {_NAME}\n")


def behind(fault: Callable[[FaultProxy], Fault], *, secure: bool = False, **attempts: Any) -> Prepare:
    """The daemon of the box sees its store through a proxy, over https if `secure`."""

    @contextmanager
    def prepare(box: Box) -> Iterator[Fault]:
        with _proxy(box, secure=secure) as proxy:
            configure(box, **attempts, **_endpoint(box, proxy.url, secure))
            yield fault(proxy)

    return prepare


def nameless(*, secure: bool) -> Prepare:
    """As `behind`, by a name that only the box knows."""

    @contextmanager
    def prepare(box: Box) -> Iterator[Fault]:
        hosts, order = box.root / "hosts", box.root / "nsswitch.conf"
        order.write_text("hosts: files\npasswd: files\ngroup: files\n")
        box.wrapper = (*_OWN_HOSTS, str(hosts), str(order))
        with _proxy(box, secure=secure) as proxy:
            url = f"{'https' if secure else 'http'}://{_NAME}:{proxy.port}"
            configure(box, **_endpoint(box, url, secure))
            fault = Nameless(proxy, hosts)
            fault.end()
            yield fault

    return prepare


@contextmanager
def _proxy(box: Box, *, secure: bool) -> Iterator[FaultProxy]:
    options: dict[str, Any] = {}
    if secure:
        options["tls"] = make_authority(box.root / "ca").tls()
        options["wrong_tls"] = make_authority(box.root / "nobody").tls()
    with FaultProxy(box.endpoint_url, **options) as proxy:
        yield proxy


def _endpoint(box: Box, url: str, secure: bool) -> dict[str, Any]:
    bundle = {"ca_bundle": str(box.root / "ca" / "ca.pem")} if secure else {}
    return {"endpoint_url": url, **bundle}


def _spoilt(*rules: Rule) -> Callable[[FaultProxy], Fault]:
    return lambda proxy: Spoilt(proxy, rules)


@dataclass(frozen=True, slots=True)
class StoreFault:
    """A fault of the proxy, and how the scenario of it differs from the usual one."""

    name: str
    fault: Callable[[FaultProxy], Fault]
    scenario: dict[str, Any]
    attempts: dict[str, int] = field(default_factory=dict)

    def scenarios(self) -> Iterator[Scenario]:
        for kind, secure in (("store", False), ("store, https", True)):
            prepare = behind(self.fault, secure=secure, **self.attempts)
            yield Scenario(self.name, kind, prepare, **self.scenario)


def _row(name: str, *rules: Rule, tries: dict[str, int] | None = None, **scenario: Any) -> StoreFault:
    return StoreFault(name, _spoilt(*rules), scenario, tries or {})


def _outage(name: str, act: fp.Act) -> StoreFault:
    """Everything is answered so: the destination holds, once."""
    return _row(name, Rule(act), holds=1)


def _poison(name: str, reason: str, *rules: Rule, **scenario: Any) -> StoreFault:
    """Only the keys of two files meet it, for ever: they end in failed/, and hold up nobody."""
    rules = tuple(replace(rule, key=POISON) for rule in rules)
    return _row(f"{name}, for one key", *rules, tries=_SOON, poisoned=POISON, failed=reason, **scenario)


_SOON = {"file_attempts": 2, "attempts": 2}
_LONG = {"file_attempts": 8}
_PARTS = frozenset({Operation.PART})
TAKEN = refuse(412, "PreconditionFailed")
WRONG_ETAG = fp.change_answer(fp.other_etag)
WRONG_CHECKSUM = fp.change_answer(fp.other_checksum)
NO_CHECKSUM = fp.change_answer(fp.without_checksum)
OTHER_BYTES = fp.change_answer(fp.other_body)
NO_PROOF = fp.change_answer(fp.without_checksum, fp.other_etag)

FAULTS = (
    _outage("500", refuse(500, "InternalError")),
    _row("500, now and then", Rule(refuse(500, "InternalError"), share=0.3), free=False),
    _outage("503 SlowDown with Retry-After", refuse(503, "SlowDown", Retry_After="2")),
    _row("503, now and then", Rule(refuse(503, "SlowDown", Retry_After="1"), share=0.3)),
    _row("reset before the body", Rule(fp.reset_before_body, fp.MAKING, share=0.5), free=False),
    _row("reset in the body", Rule(fp.reset_in_body, fp.SENDING, share=0.5), free=False),
    _row("reset after the body", Rule(fp.reset_after_body, fp.MAKING, share=0.5), free=False),
    _outage("reset, always", fp.reset_before_body),
    _row("answer lost, object kept", Rule(fp.lose_answer, fp.MAKING, share=0.5), free=False),
    _row("truncated answer", Rule(fp.truncate_answer, share=0.5), free=False),
    _row("wrong ETag", Rule(WRONG_ETAG, fp.TELLING), free=False, tries=_LONG),
    _row("wrong checksum in the answer", Rule(WRONG_CHECKSUM, fp.TELLING), free=False, tries=_LONG),
    _row("no checksum in the answer", Rule(NO_CHECKSUM, fp.TELLING), free=False),
    _row(
        "no checksum and a wrong ETag",
        Rule(NO_PROOF, fp.TELLING),
        free=False,
        tries=_LONG,
    ),
    _row(
        "body altered on the way",
        Rule(fp.alter_body, fp.SENDING, share=0.4),
        free=False,
        tries=_LONG,
    ),
    _outage("ExpiredToken, then fine", refuse(400, "ExpiredToken")),
    _outage("AccessDenied", refuse(403, "AccessDenied")),
    _outage("RequestTimeTooSkewed", refuse(403, "RequestTimeTooSkewed")),
    _outage("NoSuchBucket", refuse(404, "NoSuchBucket")),
    _row("a web page in place of the store, 200", Rule(fp.page()), holds=1, lasts=25.0),
    _row("a web page with an ETag, 200", Rule(fp.page(ETag='"5f3a-1a2"')), holds=1, free=False),
    _row(
        "NoSuchUpload in mid-multipart",
        Rule(refuse(404, "NoSuchUpload"), frozenset({Operation.PART}), skip=1, times=2),
    ),
    _row(
        "412, nothing there", Rule(refuse(412, "PreconditionFailed"), fp.MAKING, share=0.5), free=False
    ),
    _row("one byte a second", Rule(fp.trickle, share=0.4), free=False, lasts=8.0),
    _outage("one byte a second, always", fp.trickle),
    _row(
        "all of it, at random",
        *(Rule(act, fp.MAKING, share=0.08) for act in (fp.reset_in_body, fp.lose_answer)),
        *(Rule(act, share=0.05) for act in (refuse(500, "InternalError"), fp.truncate_answer)),
        *(Rule(act, fp.TELLING, share=0.05) for act in (WRONG_CHECKSUM, WRONG_ETAG)),
        Rule(fp.alter_body, fp.SENDING, share=0.08),
        free=False,
        tries=_LONG,
        lasts=10.0,
        kills=3,
    ),
    StoreFault("connections refused", Refusing, {"holds": 1, "lasts": 6.0}),
    _poison("AccessDenied", "AccessDenied", Rule(refuse(403, "AccessDenied"), fp.MAKING)),
    _poison("500", "InternalError|HTTP 500", Rule(refuse(500, "InternalError"), fp.MAKING)),
    _poison("reset in the body", "cut", Rule(fp.reset_in_body, fp.SENDING)),
    _poison(
        "wrong checksum, and other bytes read back",
        "SHA-256|read back",
        Rule(WRONG_CHECKSUM, fp.TELLING),
        Rule(OTHER_BYTES, frozenset({Operation.GET})),
    ),
    _poison("400 of no kind we know", "Whatever", Rule(refuse(400, "Whatever"), fp.MAKING)),
)


def scenarios(minute: float = 60.0) -> list[Scenario]:
    """The store's half. `minute`: how long connections are refused in the row that says a minute."""
    rows = [row for fault in FAULTS for row in fault.scenarios()]
    tls = behind(BadHandshakes, secure=True)
    # awscrt tells of a failed handshake 10 to 30 s late.
    rows.append(Scenario("TLS handshake fails", "store, https", tls, holds=1, patience=150.0))
    for kind, secure in (("store", False), ("store, https", True)):
        rows.append(Scenario("DNS fails", kind, nameless(secure=secure), holds=1))
    refused = behind(Refusing)
    rows.append(
        Scenario("connections refused for a minute", "store", refused, holds=1, lasts=minute, kills=3)
    )
    return rows
