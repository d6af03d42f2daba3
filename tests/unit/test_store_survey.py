"""What is concluded of a store, and what is not."""

import asyncio
from dataclasses import replace

import pytest

from hotfolder import probing
from hotfolder.core.errors import DestinationError, DestinationTrouble
from hotfolder.core.ports import Body, Scattered
from hotfolder.core.profile import UNKNOWN, Profile, Seen
from hotfolder.core.records import ObjectDraft, ObjectInfo, PartReceipt, Receipt, Verification
from hotfolder.core.store_survey import profile_of
from tests.support.profiles import AS_S3
from tests.support.wicked_store import Habits, WickedStore, sha

CARELESS = Habits(compares_checksums=False, compares_signatures=False)
DAY = 86_400.0


async def seen(store: WickedStore) -> Profile:
    return profile_of(await probing.ask(store, prefix="", token="t"), skew=0.04)


async def test_a_store_as_s3_is() -> None:
    assert await seen(WickedStore()) == AS_S3
    assert AS_S3.unknown() == ()
    assert len(UNKNOWN.unknown()) == len(AS_S3.__slots__) - 2


@pytest.mark.parametrize(
    ("habits", "put", "upload"),
    [
        (Habits(), "checksum", "checksum"),
        (Habits(compares_checksums=False), "checksum", "checksum"),
        (CARELESS, "checksum", "checksum"),  # it counts what it got, and says so
        (replace(CARELESS, checksums="repeated"), "etag", "etag"),
        (replace(CARELESS, checksums="repeated", etags="words"), "readback", "readback"),
        (replace(CARELESS, checksums="repeated", etags="other md5"), "readback", "readback"),
        (Habits(checksums="none"), "etag", "etag"),
        (Habits(checksums="none", etag_on_complete=False), "etag", "etag"),
        (Habits(checksums="none", etags_mean_bytes=False), "readback", "readback"),
        (Habits(checksums="none", etags="words"), "readback", "readback"),
        (Habits(alters="at rest"), "readback", "readback"),
    ],
)
async def test_which_proof_a_store_gives(habits: Habits, put: str, upload: str) -> None:
    profile = await seen(WickedStore(habits))
    assert (profile.put_proof, profile.upload_proof) == (Verification(put), Verification(upload))


async def test_what_each_habit_shows() -> None:
    async def of(**habits: object) -> Profile:
        return await seen(WickedStore(replace(Habits(), **habits)))  # type: ignore[arg-type] # by name

    assert (await of(compares_checksums=False)).put_refuses_checksum is False
    assert (await of(compares_signatures=False)).part_refuses_signature is False
    assert (await of(condition_on_put=False)).condition_on_put is False
    assert (await of(condition_on_complete=False)).condition_on_complete is False
    assert (await of(etag_on_complete=False)).complete_etag is False
    assert (await of(etag_on_complete=False)).complete_etag_is_md5s is True
    assert (await of(capitals=True)).metadata_as_sent is False
    assert (await of(trailers=False)).trailers is False
    assert (await of(checksums="none")).lists_checksums is False
    assert (await of(alters="at rest")).keeps_bytes is False


class Lossy(WickedStore):
    """Does not answer from the `last` request on, but for what clears up."""

    def __init__(self, last: int) -> None:
        super().__init__(replace(CARELESS, checksums="repeated", condition_on_put=False))
        self.left = last

    def _serve(self) -> None:
        super()._serve()
        self.left -= 1
        if self.left <= 0:
            raise DestinationError(DestinationTrouble.UNREACHABLE, "no answer")

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    async def abort(self, key: str, upload_id: str) -> None:  # noqa: ARG002 - as the port has it
        self.uploads.pop(upload_id, None)


@pytest.mark.parametrize("last", range(1, 22))
async def test_a_lost_answer_shows_nothing_and_leaves_nothing(last: int) -> None:
    whole = await seen(Lossy(1000))
    store = Lossy(last)
    answers = await probing.ask(store, prefix="", token="t")
    cut = profile_of(answers, skew=0.0)
    assert answers.cut_short or answers.listed
    for name in Profile.__slots__:
        assert getattr(cut, name) in {None, getattr(whole, name)}, name
    assert (store.objects, store.uploads) == ({}, {})


async def test_a_denial_is_a_refusal_only_where_honest_requests_get_through() -> None:
    denied = DestinationError(DestinationTrouble.DENIED, "SignatureDoesNotMatch")

    class Denying(WickedStore):
        honest = True

        def _got(self, body: Body | Scattered, checksum: bytes | None, signed: bytes) -> bytes:
            if signed != sha(bytes(body)) or checksum not in {None, signed}:
                raise denied
            return super()._got(body, checksum, signed)

        async def put(
            self, draft: ObjectDraft, body: Body, *, sha256: bytes, unless_exists: bool
        ) -> Receipt:
            if unless_exists and not self.honest:
                raise denied
            return await super().put(draft, body, sha256=sha256, unless_exists=unless_exists)

    store = Denying()
    assert (await seen(store)).put_refuses_signature is True
    store.honest = False
    profile = await seen(store)
    assert (profile.put_refuses_signature, profile.condition_on_put) == (None, None)


@pytest.mark.parametrize("trouble", [DestinationTrouble.NO_BUCKET, DestinationTrouble.EXPIRED])
async def test_what_ends_in_mid_probe_for_the_whole_store_is_no_profile(
    trouble: DestinationTrouble,
) -> None:
    class Ending(WickedStore):
        async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
            raise DestinationError(trouble, f"no more of {key} {upload_id}")

    answers = await probing.ask(Ending(), prefix="", token="t")
    assert isinstance(answers.cut_short, DestinationError)
    assert answers.cut_short.trouble is trouble


async def test_a_store_that_fell_silent_is_not_waited_for_when_it_is_cleared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "_CLEARING", 0.01)

    class Silent(WickedStore):
        async def head(self, key: str) -> ObjectInfo | None:
            raise DestinationError(DestinationTrouble.UNREACHABLE, f"no answer about {key}")

        async def delete(self, key: str) -> None:
            await asyncio.Event().wait()
            await super().delete(key)

    answers = await probing.ask(Silent(), prefix="", token="t")
    assert [str(error) for error in answers.left.values()] == [str(answers.cut_short)]


async def test_a_probe_that_is_interrupted_clears_up() -> None:
    class Hanging(WickedStore):
        async def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
            await asyncio.Event().wait()
            return await super().list_parts(key, upload_id)

    store = Hanging()
    task = asyncio.create_task(probing.ask(store, prefix="nas", token="t"))
    while not (store.uploads and next(iter(store.uploads.values())).parts):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (store.objects, store.uploads) == ({}, {})


def test_a_profile_ages() -> None:
    whole, part = Seen(AS_S3, 100 * DAY), Seen(replace(AS_S3, trailers=None), 100 * DAY)
    poor = Seen(replace(AS_S3, keeps_bytes=False), 100 * DAY)
    assert not whole.is_due(106.9 * DAY)
    assert whole.is_due(107 * DAY)
    assert not part.is_due(100.9 * DAY)
    assert part.is_due(101 * DAY)
    assert poor.is_due(101 * DAY)
    assert whole.is_due(98 * DAY), "the clock was set back"
