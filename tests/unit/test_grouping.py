"""Which group a file belongs to, and what is said of one that none takes."""

import pytest

from hotfolder.core.grouping import Grouping, GroupRule

REELS = GroupRule("reels", (".mp4", ".json"))
LOGS = GroupRule("logs", (), lambda relpath: relpath.endswith("/keep.log"))


@pytest.mark.parametrize(
    ("relpath", "group"), [("reels/a/b.mp4", "reels"), ("anything/b", "anything"), ("b", "media")]
)
def test_without_rules_every_top_directory_is_a_group(relpath: str, group: str) -> None:
    grouping = Grouping("media")
    assert grouping.refusal(relpath) is None
    assert grouping.group_of(relpath) == group


@pytest.mark.parametrize(
    "relpath", ["reels/a.mp4", "reels/deep/A.MP4", "reels/.json", "logs/x/keep.log"]
)
def test_a_group_takes_its_extensions_in_any_case_and_its_patterns(relpath: str) -> None:
    grouping = Grouping("media", rules=[REELS, LOGS])
    assert grouping.refusal(relpath) is None
    assert grouping.group_of(relpath) == relpath.partition("/")[0]


@pytest.mark.parametrize(
    ("relpath", "why"),
    [
        ("reels/a.avi", "reels takes .mp4 .json"),
        ("reels/mp4", "reels takes .mp4 .json"),
        ("logs/other.log", "logs takes any name of its patterns"),
        ("photos/a.mp4", "put it into one of reels/, logs/"),
        ("a.mp4", "put it into one of reels/, logs/"),
        ("REELS/a.mp4", "put it into one of reels/, logs/"),
    ],
)
def test_what_no_group_takes_is_told_its_way(relpath: str, why: str) -> None:
    assert why in (Grouping("media", rules=[REELS, LOGS]).refusal(relpath) or "")


def test_by_folder_the_first_group_that_takes_a_file_has_it() -> None:
    grouping = Grouping("media", "folder", [REELS, GroupRule("rest", (".mp4", ".txt"))])
    assert grouping.group_of("june/a.mp4") == "reels"
    assert grouping.group_of("a.txt") == "rest"
    assert grouping.refusal("a.exe") == (
        "no group of the folder 'media' takes it: reels takes .mp4 .json; rest takes .mp4 .txt"
    )
    assert Grouping("media", "folder").group_of("june/a.mp4") == "media"


def test_a_forced_group_takes_everything() -> None:
    grouping = Grouping("media", rules=[REELS], forced="mine")
    assert grouping.refusal("x") is None
    assert grouping.group_of("reels/a.mp4") == "mine"
