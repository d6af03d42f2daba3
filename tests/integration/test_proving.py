"""What counts as proof of a delivery, by what is known of the store and what somebody asked for."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.core.errors import DestinationError, DestinationTrouble, VerificationFailed
from hotfolder.core.objects import Terms
from hotfolder.core.profile import UNKNOWN, Profile
from hotfolder.core.records import Disposition, Verify
from hotfolder.core.segments import MIB
from hotfolder.delivery import Rules
from tests.support.profiles import AS_S3
from tests.support.wicked_store import Habits, WickedStore
from tests.support.works import KEY, Works

SMALL = b"a line of text\n" * 1000
LARGE = random.Random(7).randbytes(11 * MIB)  # three parts
NO_CHECKSUMS = replace(
    AS_S3, put_names=False, head_names=False, complete_names=False, complete_head_names=False
)
ETAGS_MEAN_NOTHING = replace(
    NO_CHECKSUMS, put_etag_is_md5=False, part_etag_is_md5=False, complete_etag_is_md5s=False
)
REPEATS = replace(
    AS_S3,
    put_refuses_checksum=False,
    put_refuses_signature=False,
    put_counts=False,
    part_refuses_checksum=False,
    part_refuses_signature=False,
    part_counts=False,
)
Making = Callable[..., Works]


class Counted(WickedStore):
    """Counts how many bytes were read back."""

    def __init__(self, habits: Habits) -> None:
        super().__init__(habits)
        self.read = 0

    async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
        async for chunk in super().get(key, start=start):
            self.read += len(chunk)
            yield chunk


@pytest.fixture
async def works_over(tmp_path: Path) -> AsyncIterator[Making]:
    made: list[Works] = []

    def make(
        habits: Habits,
        profile: Profile = AS_S3,
        verify: Verify = Verify.AUTO,
        store: Counted | None = None,
    ) -> Works:
        works = Works(tmp_path, store or Counted(habits))
        works.profile, works.verify = profile, verify
        made.append(works)
        return works

    yield make
    for works in made:
        await works.close()


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("habits", "profile", "verify", "proof"),
    [
        (Habits(), AS_S3, Verify.AUTO, "checksum"),
        (Habits(), UNKNOWN, Verify.AUTO, "etag"),
        (Habits(checksums="repeated"), REPEATS, Verify.AUTO, "etag"),
        (Habits(checksums="none"), NO_CHECKSUMS, Verify.AUTO, "etag"),
        (Habits(checksums="none", etag_on_complete=False), NO_CHECKSUMS, Verify.AUTO, "etag"),
        (Habits(etags="words"), UNKNOWN, Verify.AUTO, "readback"),
        (Habits(checksums="none", etags="words"), ETAGS_MEAN_NOTHING, Verify.AUTO, "readback"),
        (Habits(checksums="none", etags="other md5"), UNKNOWN, Verify.AUTO, "readback"),
        (Habits(checksums="none", etags_mean_bytes=False), AS_S3, Verify.AUTO, "readback"),
        (Habits(), replace(AS_S3, keeps_bytes=False), Verify.AUTO, "readback"),
        (Habits(), UNKNOWN, Verify.CHECKSUM, "checksum"),
        (Habits(), AS_S3, Verify.ETAG, "etag"),
        (Habits(), AS_S3, Verify.READBACK, "readback"),
        (Habits(), AS_S3, Verify.HEAD, "checksum"),
        (Habits(checksums="none", etags="words"), AS_S3, Verify.HEAD, "head"),
        (Habits(), UNKNOWN, Verify.HEAD, "head"),
    ],
)
async def test_the_strongest_proof_that_the_store_gives_is_taken(
    works_over: Making, data: bytes, habits: Habits, profile: Profile, verify: Verify, proof: str
) -> None:
    works = works_over(habits, profile, verify)
    line = await works.deliver(works.drop(data))
    assert (line["status"], line["verification"]) == ("success", proof)
    assert line["checksum_s3_etag"] == works.store.objects[KEY][0].etag
    store = works.store
    assert isinstance(store, Counted)
    assert store.read == (len(store.objects[KEY][1]) if proof == "readback" else 0)
    assert ("reading back" in works.log.stages) == (proof == "readback")


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("habits", "profile", "verify"),
    [
        (Habits(checksums="none"), AS_S3, Verify.CHECKSUM),
        (Habits(checksums="repeated"), REPEATS, Verify.CHECKSUM),
        (Habits(etags="words"), AS_S3, Verify.ETAG),
        (Habits(etags_mean_bytes=False), AS_S3, Verify.ETAG),
    ],
)
async def test_who_asks_for_one_proof_gets_no_other(
    works_over: Making, data: bytes, habits: Habits, profile: Profile, verify: Verify
) -> None:
    works = works_over(habits, profile, verify)
    with pytest.raises(VerificationFailed, match=f'verify = "{verify}" wants one') as caught:
        await works.deliver(works.drop(data))
    assert 'verify = "auto"' in caught.value.hint
    works.nothing_ended(data)


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_what_is_read_back_and_differs_is_a_failure_and_sent_over_the_next_time(
    works_over: Making, data: bytes
) -> None:
    habits = Habits(
        compares_checksums=False,
        compares_signatures=False,
        checksums="repeated",
        etags="words",
        alters="on the way",
    )
    works = works_over(habits, REPEATS)
    job = works.drop(data)
    with pytest.raises(VerificationFailed, match="read back"):
        await works.deliver(job)
    works.nothing_ended(data)
    works.store.habits = Habits(checksums="repeated", etags="words")  # type: ignore[attr-defined]
    line = await works.deliver(job)
    assert (line["status"], line["verification"]) == ("success", "readback")
    assert line["s3_object_key"] == KEY
    assert list(works.store.objects) == [KEY]


async def test_an_object_that_is_gone_when_it_is_read_back_is_a_failure(works_over: Making) -> None:
    class Losing(Counted):
        async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
            self.objects.pop(key)
            async for chunk in super().get(key, start=start):
                yield chunk

    works = works_over(Habits(), AS_S3, Verify.READBACK, Losing(Habits()))
    with pytest.raises(VerificationFailed, match="did not have it"):
        await works.deliver(works.drop(SMALL))
    works.nothing_ended(SMALL)


async def test_an_outage_while_reading_back_is_an_outage(works_over: Making) -> None:
    class Outage(Counted):
        async def get(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes]:
            async for chunk in super().get(key, start=start):
                yield chunk[:7]
                raise DestinationError(DestinationTrouble.UNREACHABLE, "cut")

    works = works_over(Habits(), AS_S3, Verify.READBACK, Outage(Habits()))
    job = works.drop(SMALL)
    with pytest.raises(DestinationError):
        await works.deliver(job)
    works.store = Counted(Habits())
    works.nothing_ended(SMALL)


@pytest.mark.parametrize("verify", [Verify.AUTO, Verify.READBACK])
async def test_what_cannot_be_read_back_is_not_even_sent(works_over: Making, verify: Verify) -> None:
    works = works_over(Habits(checksums="none", etags="words"), ETAGS_MEAN_NOTHING, verify)
    tools = replace(works.tools(), storage_class="DEEP_ARCHIVE")
    with pytest.raises(VerificationFailed) as caught:
        await works.deliver(works.drop(SMALL), tools)
    assert 'verify = "head"' in caught.value.hint
    assert works.store.objects == {}
    works.nothing_ended(SMALL)


async def test_a_cold_object_is_proven_by_what_the_store_says(works_over: Making) -> None:
    works = works_over(Habits())
    line = await works.deliver(works.drop(SMALL), replace(works.tools(), storage_class="GLACIER"))
    assert line["verification"] == "checksum"


async def test_before_a_cold_object_the_store_is_asked_what_it_proves(works_over: Making) -> None:
    works = works_over(Habits(etags="words"), UNKNOWN)
    asked = []

    async def learn() -> None:
        asked.append("")
        works.profile = AS_S3

    for storage_class, number in (("STANDARD", 0), ("GLACIER", 1)):
        tools = replace(works.tools(), storage_class=storage_class)
        tools.sender._learn = learn
        await works.deliver(works.drop(SMALL, f"{number}.mp4", number=number + 1), tools)
        assert len(asked) == number


async def test_the_group_of_a_file_says_what_its_proof_is(works_over: Making) -> None:
    works = works_over(Habits())
    tools = works.tools()

    def rules(group: str) -> Rules:
        return replace(tools.rules(group), verify=Verify.READBACK if group else Verify.AUTO)

    proofs = []
    for number, group in enumerate(("", "reels"), start=1):
        job = replace(works.drop(SMALL, f"{number}.mp4", number=number), group=group)
        proofs.append((await works.deliver(job, replace(tools, rules=rules)))["verification"])
    assert proofs == ["checksum", "readback"]


@pytest.mark.parametrize(("verify", "is_deleted"), [(Verify.HEAD, False), (Verify.READBACK, True)])
async def test_only_a_size_deletes_nothing(works_over: Making, verify: Verify, is_deleted: bool) -> None:
    works = works_over(Habits(checksums="none", etags="words"), UNKNOWN, verify)
    await works.deliver(works.drop(SMALL), replace(works.tools(), on_success=Disposition.DELETE))
    assert (works.folders.completed / "clip.mp4").exists() is not is_deleted
    assert not (works.folders.inbox / "clip.mp4").exists()


def test_plain_terms_want_the_strongest_proof() -> None:
    assert Terms().verify is Verify.AUTO
