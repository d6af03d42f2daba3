"""What the doctor asks of a store, and what it makes of the answers."""

from collections.abc import AsyncGenerator

import pytest

from hotfolder import probing
from hotfolder.core.checkup import Finding, State
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.ports import Body, ProbedStore
from hotfolder.core.records import ObjectDraft, ObjectInfo, Receipt
from hotfolder.core.store_checkup import (
    CredentialOrigin,
    clock_finding,
    credentials_finding,
    store_findings,
)
from hotfolder.core.store_survey import Answers
from tests.support.wicked_store import AS_S3, Habits, WickedStore

DENIED = DestinationError(DestinationTrouble.DENIED, "AccessDenied", hint="allow it")
UNREACHABLE = DestinationError(DestinationTrouble.UNREACHABLE, "no connection")


class Unfriendly(WickedStore):
    """Denies, loses or does not find what it is told to."""

    def __init__(self, *lacks: str, habits: Habits = AS_S3) -> None:
        super().__init__(habits)
        self.lacks = set(lacks)

    async def put(
        self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
    ) -> Receipt:
        if "put" in self.lacks:
            raise DENIED
        return await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)

    async def head(self, key: str) -> ObjectInfo | None:
        return None if "head" in self.lacks else await super().head(key)

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        if "get" in self.lacks:
            raise DENIED
        async for chunk in super().get(key, start=start):
            yield chunk

    async def create_multipart(self, draft: ObjectDraft) -> str:
        if "multipart" in self.lacks:
            raise DENIED
        return await super().create_multipart(draft)

    async def delete(self, key: str) -> None:
        if "delete" in self.lacks:
            raise DENIED
        await super().delete(key)

    async def abort(self, key: str, upload_id: str) -> None:
        if "abort" in self.lacks:
            raise DENIED
        await super().abort(key, upload_id)


async def examined(store: ProbedStore) -> dict[str, Finding]:
    answers = await probing.ask(store, prefix="nas1", token="t")
    return {finding.id.removeprefix("d."): finding for finding in store_findings("d", "b", answers)}


async def test_a_good_store_is_fine_and_left_as_it_was() -> None:
    store = WickedStore()
    found = await examined(store)
    assert list(found) == ["bucket", "write", "checksum", "overwrite", "parts", "metadata", "proof"]
    assert {finding.state for finding in found.values()} == {State.OK}
    assert found["proof"].what == 'verify = "auto" proves files by the store\'s SHA-256'
    assert (store.objects, store.uploads) == ({}, {})


@pytest.mark.parametrize(
    ("habits", "words"),
    [
        (Habits(compares_checksums=False), {}),
        (
            Habits(compares_checksums=False, compares_signatures=False),
            {"checksum": "took bytes that did not fit their checksum; it returns SHA-256"},
        ),
        (
            Habits(compares_checksums=False, compares_signatures=False, checksums="repeated"),
            {"checksum": "repeats whatever was announced", "proof": "by the ETag"},
        ),
        (Habits(checksums="none"), {"checksum": "its ETags are MD5s", "proof": "by the ETag"}),
        (
            Habits(checksums="none", etags="words"),
            {"checksum": "its ETags are no MD5s", "proof": "by reading them back"},
        ),
        (Habits(condition_on_put=False), {"overwrite": "overwrites silently (it ignores"}),
        (Habits(condition_on_complete=False), {"overwrite": "silently with multipart uploads"}),
        (Habits(etag_on_complete=False), {"parts": "answers without an ETag"}),
        (Habits(capitals=True), {"metadata": "in other letters"}),
        (Habits(trailers=False), {"metadata": "stored as if it were content"}),
        (Habits(alters="at rest"), {"write": "read back is something else", "proof": "reading"}),
        (Habits(alters="on the way"), {"write": "BadDigest"}),
    ],
)
async def test_what_a_store_does_is_said(habits: Habits, words: dict[str, str]) -> None:
    store = WickedStore(habits)
    found = await examined(store)
    for check, said in words.items():
        assert said in found[check].what
    troubled = {name for name, finding in found.items() if finding.state is not State.OK}
    assert troubled <= set(words)
    assert all(found[name].fix or found[name].state is State.ERROR for name in troubled)
    assert (store.objects, store.uploads) == ({}, {})


@pytest.mark.parametrize(
    ("lacks", "words"),
    [
        ("head", {"write": "did not find it"}),
        ("put", {"write": "AccessDenied"}),
        ("get", {"write": "whether they can be read back"}),
        ("multipart", {"parts": "AccessDenied", "overwrite": "could not be seen", "proof": "by the"}),
        ("delete", {"delete": "nas1/.hotfolder-check/t"}),
    ],
)
async def test_what_is_not_allowed_is_said_and_the_rest_is_known(
    lacks: str, words: dict[str, str]
) -> None:
    store = Unfriendly(lacks)
    found = await examined(store)
    for check, said in words.items():
        assert said in found[check].what
    assert {name for name, finding in found.items() if finding.state is not State.OK} == set(words)
    assert list(store.objects) == (["nas1/.hotfolder-check/t"] if lacks == "delete" else [])


async def test_where_nothing_may_be_deleted_one_object_stays_however_often_it_is_asked() -> None:
    careless = Habits(compares_checksums=False, compares_signatures=False, condition_on_complete=False)
    store = Unfriendly("delete", habits=careless)
    await examined(store)
    await examined(store)
    assert list(store.objects) == ["nas1/.hotfolder-check/t"]
    assert store.uploads == {}


async def test_an_outage_is_one_error() -> None:
    store = WickedStore()
    store.outage = UNREACHABLE
    found = await examined(store)
    assert list(found) == ["bucket"]
    assert found["bucket"].state is State.ERROR


async def test_what_a_lost_answer_may_have_left_is_removed() -> None:
    class Lossy(WickedStore):
        async def put(
            self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
        ) -> Receipt:
            await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)
            raise UNREACHABLE

    store = Lossy()
    assert (await examined(store))["write"].what == "no connection"
    assert store.objects == {}


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
