"""What a path that was heard of or walked past is a part of."""

from hotfolder.core.candidates import Candidate, Candidates
from hotfolder.core.hints import Heard
from hotfolder.core.marker import MarkerName

DONE = MarkerName("{name}.done")


def test_each_file_is_its_own_candidate() -> None:
    each = Candidates()
    assert each.of("reels/a") == "reels/a"
    for what in (Heard.APPEARED, Heard.COMPLETED):
        assert each.heard("reels/a.done", what) == Candidate("reels/a.done", False, what)
    assert list(each.walked(["a", "sub/b", "a.done"])) == ["a", "sub/b", "a.done"]


def test_filters_know_a_directory_by_its_slash() -> None:
    directory = Candidates().heard("reels/raw", Heard.DIRECTORY)
    assert directory is not None
    assert (directory.relpath, directory.entry) == ("reels/raw", "reels/raw/")


def test_what_happens_below_a_directory_delivered_as_one_happens_to_it() -> None:
    whole = Candidates(whole=True)
    assert whole.of("reels/raw/a") == "reels"
    directory = Candidate("reels", True, Heard.APPEARED)
    assert whole.heard("reels/raw/a", Heard.COMPLETED) == directory
    assert whole.heard("reels", Heard.DIRECTORY) == directory
    assert whole.heard("loose", Heard.COMPLETED) == Candidate("loose", False, Heard.COMPLETED)
    assert list(whole.walked(["reels/", "loose"])) == ["reels", "loose"]


def test_of_files_and_markers_each_file_is_looked_at_once() -> None:
    each = Candidates(marker=DONE)
    assert each.heard("sub/b.done", Heard.COMPLETED) == Candidate("sub/b", False, Heard.COMPLETED)
    assert list(each.walked(["a", "a.done", "sub/b.done", "c"])) == ["a", "sub/b", "c"]
    assert each.heard("sub.done", Heard.DIRECTORY) == Candidate("sub.done", True, Heard.APPEARED)


def test_nothing_inside_a_directory_marks_it() -> None:
    whole = Candidates(whole=True, marker=DONE)
    assert whole.heard("reels/raw.done", Heard.COMPLETED) is None
    assert whole.heard("reels.done", Heard.COMPLETED) == Candidate("reels", False, Heard.COMPLETED)
    assert list(whole.walked(["reels/", "reels.done", "other.done"])) == ["reels", "other"]
