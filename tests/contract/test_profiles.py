"""What is remembered of stores, on disk or in memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.state.database import StateDb
from hotfolder.adapters.state.profiles import SqliteProfiles
from hotfolder.core.ports import Profiles
from hotfolder.core.profile import UNKNOWN, Seen
from tests.support.memory_profiles import MemoryProfiles
from tests.support.profiles import AS_S3

SEEN = Seen(AS_S3, 1_700_000_000.5)


@pytest.fixture(params=["sqlite", "memory"])
def profiles(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Profiles]:
    if request.param == "memory":
        yield MemoryProfiles()
        return
    with SqliteProfiles(tmp_path / "state.db") as sqlite:
        yield sqlite


def test_what_is_kept_is_there_by_its_key(profiles: Profiles) -> None:
    assert profiles.all() == {}
    profiles.keep("one", SEEN)
    profiles.keep("other", Seen(UNKNOWN, 1.0))
    assert profiles.all() == {"one": SEEN, "other": Seen(UNKNOWN, 1.0)}


def test_a_later_look_takes_the_place_of_the_former(profiles: Profiles) -> None:
    later = Seen(replace(AS_S3, trailers=False), SEEN.at + 1)
    profiles.keep("one", SEEN)
    profiles.keep("one", later)
    assert profiles.all() == {"one": later}


def test_the_next_run_finds_it_but_not_what_another_version_saw(tmp_path: Path) -> None:
    with SqliteProfiles(tmp_path / "state.db") as profiles:
        profiles.keep("one", SEEN)
    db = StateDb(tmp_path / "state.db")
    with db.transaction(durable=True) as connection:
        for key, text in (("less", "{}"), ("more", '{"a": 1}'), ("none", "7"), ("torn", "{")):
            connection.execute("INSERT INTO profiles VALUES (?, 1.0, ?)", (key, text))
    db.close()
    with SqliteProfiles(tmp_path / "state.db") as profiles:
        assert profiles.all() == {"one": SEEN}
