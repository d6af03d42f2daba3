"""Whatever a store does: where a delivery is a success, the store holds what was packed."""

import asyncio
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotfolder import probing
from hotfolder.core.errors import HotfolderError
from hotfolder.core.profile import UNKNOWN
from hotfolder.core.records import Verify
from hotfolder.core.segments import MIB
from hotfolder.core.store_survey import profile_of
from tests.support.checksums import as_said
from tests.support.wicked_store import Habits, WickedStore
from tests.support.works import Works

Test = TypeVar("Test", bound=Callable[..., None])
Damage = Literal["", "on the way"]

SMALL = b"a line of text\n" * 100
LARGE = random.Random(3).randbytes(6 * MIB)  # two parts

HABITS = st.builds(
    Habits,
    compares_checksums=st.booleans(),
    compares_signatures=st.booleans(),
    checksums=st.sampled_from(["own", "none", "repeated"]),
    etags=st.sampled_from(["md5", "words", "other md5"]),
    etag_on_complete=st.booleans(),
    etags_mean_bytes=st.booleans(),
    condition_on_put=st.booleans(),
    condition_on_complete=st.booleans(),
    alters=st.sampled_from(["", "on the way", "at rest"]),
)
DAMAGE = st.sampled_from(["", "on the way"])  # what befalls the files, if not the probe
LIAR = Habits(compares_checksums=False, compares_signatures=False, checksums="repeated")


def prove(habits: Habits, damage: Damage, data: bytes, verify: Verify, *, is_known: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_prove(Path(folder), habits, damage, data, verify, is_known=is_known))


async def _prove(
    root: Path, habits: Habits, damage: Damage, data: bytes, verify: Verify, *, is_known: bool
) -> None:
    store = WickedStore(habits)
    works = Works(root, store)
    works.verify = verify
    try:
        works.profile = UNKNOWN
        if is_known:
            works.profile = profile_of(await probing.ask(store, prefix="nas1", token="t"))
        if damage and not habits.alters:
            store.habits = replace(habits, alters=damage)
        job = works.drop(data)
        for _ in range(3):  # what a failure left there must not be taken for ours the next time
            try:
                line = await works.deliver(job)
            except HotfolderError:
                assert (works.folders.inbox / "clip.mp4").read_bytes() == data
                continue
            stored = store.objects[line["s3_object_key"]][1]
            assert line["checksum_compressed"] == as_said(line["checksum_compressed"], stored)
            assert line["verification"] in _fitting(verify)
            assert line["parts"] == (1 if data is SMALL else 2)
            return
        assert store.habits.alters or verify in {Verify.CHECKSUM, Verify.ETAG}, "an honest store"
    finally:
        await works.close()


def _fitting(verify: Verify) -> set[str]:
    if verify is Verify.AUTO:
        return {"checksum", "etag", "readback"}
    return {verify.value}


def cases(test: Test) -> Test:
    """What was once thought of, before what is thrown."""
    known = [
        (LIAR, "on the way", True),
        (LIAR, "on the way", False),
        (Habits(checksums="none", etags="words"), "on the way", True),
        (Habits(alters="at rest"), "", True),
    ]
    for habits, damage, is_known in known:
        test = example(habits=habits, damage=damage, is_known=is_known)(test)
    return test


@settings(max_examples=100)
@given(habits=HABITS, damage=DAMAGE, is_known=st.booleans())
@cases
def test_a_small_file_that_is_delivered_is_there(habits: Habits, damage: Damage, is_known: bool) -> None:
    prove(habits, damage, SMALL, Verify.AUTO, is_known=is_known or habits.alters == "at rest")


@settings(max_examples=25)
@given(habits=HABITS, damage=DAMAGE, is_known=st.booleans())
@cases
def test_a_large_file_that_is_delivered_is_there(habits: Habits, damage: Damage, is_known: bool) -> None:
    prove(habits, damage, LARGE, Verify.AUTO, is_known=is_known or habits.alters == "at rest")


@settings(max_examples=40)
@given(
    habits=HABITS.filter(lambda habits: habits.alters != "at rest"),
    damage=DAMAGE,
    verify=st.sampled_from([Verify.ETAG, Verify.CHECKSUM, Verify.READBACK]),
)
def test_so_it_is_with_the_proof_that_was_asked_for(
    habits: Habits, damage: Damage, verify: Verify
) -> None:
    prove(habits, damage, SMALL, verify, is_known=True)
