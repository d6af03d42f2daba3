"""Names of markers, and what a marker says of which version."""

from dataclasses import replace

import pytest

from hotfolder.core.errors import LocalError
from hotfolder.core.marker import MarkerName, is_of_this_version
from hotfolder.core.records import Marker
from hotfolder.marking import Marks
from tests.support.samples import fingerprint

FILE = fingerprint(size=10, ctime_ns=1_000)
MARK = fingerprint(size=0, ctime_ns=1_000, inode=2000)


@pytest.mark.parametrize("pattern", ["{name}.done", ".{name}", "ready-{name}.flag", "{name}!"])
@pytest.mark.parametrize("file", ["clip.mp4", "reels/june/clip.mp4", "a.done", "\udcff", "{name}"])
def test_a_marker_is_the_marker_of_its_file(pattern: str, file: str) -> None:
    name = MarkerName(pattern)
    marker = name.of(file)
    assert marker != file
    assert marker.rpartition("/")[0] == file.rpartition("/")[0], "in the same folder"
    assert name.file_of(marker) == file


@pytest.mark.parametrize("path", ["clip.mp4", ".done", "reels/.done", "...done", "clip.done/x", "done/"])
def test_what_is_no_markers_name_is_a_file(path: str) -> None:
    assert MarkerName("{name}.done").file_of(path) is None


@pytest.mark.parametrize(
    "pattern", ["", "{name}", "done", "{stem}.done", "{name}/done", "{name}{name}.x"]
)
def test_a_pattern_that_names_no_marker_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\{name\}"):
        MarkerName(pattern)


def test_a_marker_that_was_there_before_the_last_change_says_nothing() -> None:
    assert is_of_this_version(MARK, FILE)
    assert is_of_this_version(replace(MARK, ctime_ns=1_001), FILE)
    assert not is_of_this_version(replace(MARK, ctime_ns=999, mtime_ns=2**62), FILE)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def marks(clock: Clock) -> Marks:
    return Marks(MarkerName("{name}.done"), clock)


def test_a_file_waits_for_its_marker_and_says_so(marks: Marks, clock: Clock) -> None:
    assert not marks.judge("a", FILE, None)
    clock.now = 200.0
    assert not marks.judge("a", FILE, None)
    assert marks.left() == {"a": "waiting for a.done"}
    assert marks.unmarked["a"].since == 100.0
    assert marks.bytes == FILE.size
    assert marks.judge("a", FILE, MARK)
    assert marks.left() == {}
    assert marks.bytes == 0
    assert marks.take("a") == Marker("a.done", MARK)
    assert marks.take("a") is None


def test_a_marker_of_an_earlier_file_does_not_release_the_next_one(marks: Marks) -> None:
    assert not marks.judge("a", replace(FILE, ctime_ns=2_000), MARK)
    assert marks.left()["a"].startswith("waiting for a.done: the one that is there is older than a")
    assert marks.take("a") is None


def test_a_marker_alone_is_told_until_it_goes_or_its_file_comes(marks: Marks) -> None:
    assert not marks.judge("sub/a", None, MARK)
    assert marks.orphans == {"sub/a.done": "the marker of sub/a, which is not there"}
    assert not marks.judge("sub/a", None, None)
    assert marks.orphans == {}
    marks.judge("sub/a", None, MARK)
    assert marks.judge("sub/a", FILE, MARK)
    assert marks.left() == {}


def test_a_file_whose_marker_cannot_be_looked_at_is_not_whole(marks: Marks) -> None:
    assert not marks.judge("a", FILE, LocalError("no"))
    assert marks.left() == {}


def test_where_no_file_has_a_marker_none_waits_for_one(clock: Clock) -> None:
    marks = Marks(None, clock)
    assert marks.markers_of(["a", "a.done"]) == {}
    assert marks.judge("a", FILE, None)
    marks.forget("a")
    assert (marks.take("a"), marks.stale(), marks.left()) == (None, [], {})


def test_what_a_walk_did_not_see_is_looked_at_again(marks: Marks) -> None:
    for name in ("a", "b"):
        marks.judge(name, FILE, None)
    marks.judge("c", None, MARK)
    assert marks.stale() == []
    marks.judge("a", FILE, None)
    assert marks.stale() == ["b", "c"]
