"""What the doctor asks of a store, and what it makes of the answers."""

import pytest

from hotfolder import probing
from hotfolder.core.checkup import Finding, State
from hotfolder.core.errors import (
    DestinationError,
    DestinationTrouble,
    HotfolderError,
    KeyTaken,
    ObjectRefused,
)
from hotfolder.core.ports import Body
from hotfolder.core.records import ObjectDraft, ObjectInfo, Receipt
from hotfolder.core.store_checkup import (
    PROBE_MD5,
    Answers,
    CredentialOrigin,
    clock_finding,
    credentials_finding,
    store_findings,
)
from tests.support.memory_store import MemoryStore

DENIED = DestinationError(DestinationTrouble.DENIED, "AccessDenied", hint="allow it")
UNREACHABLE = DestinationError(DestinationTrouble.UNREACHABLE, "no connection")


class CarelessStore(MemoryStore):
    """Lacks what it is told to lack, as many compatible stores do."""

    def __init__(self, *lacks: str) -> None:
        super().__init__()
        self.lacks = set(lacks)

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        if "put" in self.lacks:
            raise DENIED
        if "comparing" in self.lacks and draft.key.endswith("-wrong"):
            self.objects[draft.key] = (ObjectInfo(draft.key, len(body), "e"), bytes(body))
            return Receipt("e")
        condition = unless_exists and "condition" not in self.lacks
        receipt = await super().put(draft, body, sha256=sha256, unless_exists=condition)
        etag = "opaque" if "md5" in self.lacks else receipt.etag
        return Receipt(etag, None if "checksum" in self.lacks else receipt.checksum_sha256)

    async def head(self, key: str) -> ObjectInfo | None:
        info = await super().head(key)
        if "head" in self.lacks or info is None:
            return None
        return ObjectInfo(key, info.size, info.etag) if "checksum" in self.lacks else info

    async def delete(self, key: str) -> None:
        if "delete" in self.lacks:
            raise DENIED
        await super().delete(key)


async def examined(store: MemoryStore) -> dict[str, Finding]:
    answers = await probing.ask(store, prefix="nas1", token="t")
    return {finding.id.removeprefix("d."): finding for finding in store_findings("d", "b", answers)}


async def test_a_good_store_is_fine_and_left_as_it_was() -> None:
    store = MemoryStore()
    found = await examined(store)
    assert list(found) == ["bucket", "write", "checksum", "overwrite"]
    assert {finding.state for finding in found.values()} == {State.OK}
    assert store.objects == {}


@pytest.mark.parametrize(
    ("lacks", "check", "state", "word"),
    [
        (["condition"], "overwrite", State.WARNING, "overwrites silently"),
        (["comparing"], "checksum", State.WARNING, "took bytes that did not fit"),
        (["checksum"], "checksum", State.WARNING, "falls back to the ETag"),
        (["checksum", "md5"], "checksum", State.WARNING, "only the size"),
        (["checksum", "comparing"], "checksum", State.WARNING, "falls back to the ETag"),
        (["head"], "write", State.ERROR, "did not find it"),
        (["put"], "write", State.ERROR, "AccessDenied"),
        (["delete"], "delete", State.WARNING, "nas1/.hotfolder-check/t"),
    ],
)
async def test_what_a_store_lacks_is_said(lacks: list[str], check: str, state: State, word: str) -> None:
    store = CarelessStore(*lacks)
    found = await examined(store)
    assert found[check].state is state
    assert word in found[check].what
    assert {name for name, finding in found.items() if finding.state is not State.OK} == {check}
    assert bool(store.objects) == ("delete" in lacks)


async def test_an_outage_is_one_error() -> None:
    store = MemoryStore()
    store.outage = UNREACHABLE
    found = await examined(store)
    assert list(found) == ["bucket"]
    assert found["bucket"].state is State.ERROR


async def test_what_a_lost_answer_may_have_left_is_removed() -> None:
    class Lossy(MemoryStore):
        async def put(
            self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
        ) -> Receipt:
            await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)
            raise UNREACHABLE

    store = Lossy()
    assert (await examined(store))["write"].what == "no connection"
    assert store.objects == {}


def test_no_answer_is_no_refusal() -> None:
    def state(**answers: Receipt | HotfolderError) -> dict[str, State]:
        stored = Receipt(PROBE_MD5, "")
        asked = Answers(stored=stored, **answers)  # type: ignore[arg-type] # only what is named
        return {finding.id: finding.state for finding in store_findings("d", "b", asked)}

    assert state(repeated=UNREACHABLE)["d.overwrite"] is State.ERROR
    assert state(repeated=ObjectRefused("NotImplemented"))["d.overwrite"] is State.ERROR
    assert state(repeated=KeyTaken(""))["d.overwrite"] is State.OK


@pytest.mark.parametrize(
    ("skew", "state", "word"),
    [
        (0.9, State.OK, "agrees"),
        (-59, State.OK, "agrees"),
        (61, State.WARNING, "1m 1s ahead of"),
        (-899, State.WARNING, "behind"),
        (3600, State.ERROR, "1h ahead of"),
        (-900, State.ERROR, "15m behind"),
    ],
)
def test_the_clock(skew: float, state: State, word: str) -> None:
    finding = clock_finding("d.clock", skew)
    assert finding.state is state
    assert word in finding.what
    assert finding.numbers["skew_seconds"] == round(skew)


def test_a_refusal_names_the_clock_that_may_be_its_reason() -> None:
    (finding,) = store_findings("d", "b", Answers(listed=DENIED), skew=3600)
    assert "1h ahead" in finding.what
    (finding,) = store_findings("d", "b", Answers(listed=DENIED), skew=1)
    assert "clock" not in finding.what


def test_credentials() -> None:
    def said(*, exposed: bool = False, expires_at: float | None = None) -> Finding:
        origin = CredentialOrigin("sso", "", "WXYZ", expires_at)
        return credentials_finding("d.credentials", origin, now=1000, exposed=exposed)

    assert said().what == "credentials from the SSO login (access key ending in WXYZ)"
    assert "valid for 1h" in said(expires_at=4600).what
    assert said(expires_at=1000).state is State.ERROR
    assert said(exposed=True).state is State.WARNING
