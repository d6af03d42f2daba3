"""What follows where a key is taken: the whole table, and what makes a candidate."""

import math
from dataclasses import replace
from typing import Any

import pytest

from hotfolder.core.conflict import (
    EarlierObject,
    Family,
    OnConflict,
    Replaced,
    Standing,
    Way,
    earlier_object,
    is_told_otherwise,
    looks_first,
    refusal,
    rest_before_look,
    way,
)
from hotfolder.core.records import ObjectInfo

TAKEN = ObjectInfo("k", 300, "abc")


@pytest.mark.parametrize(
    ("standing", "ways"),
    [
        (Standing.NOTHING, (Way.SEND, Way.SEND, Way.SEND)),
        (Standing.SAME, (Way.FOUND, Way.FOUND, Way.FOUND)),
        (Standing.OTHER, (Way.BESIDE, Way.REPLACE, Way.REFUSE)),
    ],
)
def test_what_stands_there_and_what_is_wanted_decide(standing: Standing, ways: tuple[Way, ...]) -> None:
    assert tuple(way(standing, wanted) for wanted in OnConflict) == ways


def test_only_who_overwrites_looks_first_where_conditions_are_honoured() -> None:
    assert [looks_first(wanted, True) for wanted in OnConflict] == [False, True, False]
    assert all(looks_first(wanted, seen) for wanted in OnConflict for seen in (None, False))


def test_metadata_can_say_that_it_is_another_and_never_that_it_is_the_same() -> None:
    assert is_told_otherwise({"hotfolder-sha256": "00" * 32}, b"o" * 32)
    assert not is_told_otherwise({"hotfolder-sha256": (b"o" * 32).hex()}, b"o" * 32)
    assert not is_told_otherwise({}, b"o" * 32)


@pytest.mark.parametrize("replaced", [Replaced("abc"), Replaced("abc-3", "v.1")])
def test_what_was_replaced_survives_in_metadata(replaced: Replaced) -> None:
    assert Replaced.from_words(replaced.words()) == replaced


def test_an_etag_that_no_metadata_takes_is_not_sent() -> None:
    assert Replaced("é").words() == "unknown"
    assert Replaced.of(replace(TAKEN, version_id="7")) == Replaced("abc", "7")


def test_a_family_is_the_key_and_those_beside_it() -> None:
    family = Family.of("nas/clip.mp4.tar.gz", "nas/clip.mp4~0198.tar.gz", "0198")
    assert "nas/clip.mp4.tar.gz" in family
    assert "nas/clip.mp4~0199.tar.gz" in family
    assert "nas/clip.mp4~0199.gz" not in family
    assert "nas/clip.mp4.other.tar.gz" not in family
    assert family.start == "nas/clip.mp4~"


LINE: dict[str, Any] = {
    "status": "success",
    "s3_object_key": "k",
    "checksum_original": "sha256:00",
    "original_size": 3,
}


def test_only_a_line_of_a_delivery_names_an_object() -> None:
    assert earlier_object(LINE) == EarlierObject("k", "sha256:00", 3)
    assert earlier_object(LINE | {"status": "skipped"}) is not None
    for missing in (
        {"status": "failed"},
        {"status": ["success"]},
        {"s3_object_key": None},
        {"checksum_original": None},
        {"original_size": "3"},
    ):
        assert earlier_object(LINE | missing) is None


def test_a_refusal_names_the_file_the_key_and_what_stands_there() -> None:
    told = refusal("/in/a", replace(TAKEN, metadata={"hotfolder-operation": "0198"})).sentence
    assert all(word in told for word in ("/in/a", "k", "300 bytes", "abc", "0198", "on_conflict"))
    assert "not put there by hotfolder" in str(refusal("/in/a", TAKEN))


@pytest.mark.parametrize(
    ("took", "travels", "rest"),
    [
        (0.3, math.inf, 0.3),  # nobody has looked yet: all of it
        (0.3, 0.0, 0.3),  # a store on this machine
        (0.08, 0.08, 0.0),  # all of it was the way: the look arrives that late by itself
        (0.5, 0.125, 0.375),
        (0.05, 0.2, 0.0),
        (60.0, 1.0, 5.0),
    ],
)
def test_a_look_comes_as_late_as_what_it_looks_after_took(
    took: float, travels: float, rest: float
) -> None:
    assert rest_before_look(took, travels=travels) == rest
