"""What waits for its turn, and what it adds up to."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.records import Fingerprint, Job
from hotfolder.queued import Queued

PATHS = [f"{group}/{name}" for group in "ab" for name in "123"]


def job(relpath: str, size: int) -> Job:
    seen = Fingerprint(1, 2, size, 3, 4)
    return Job("id", "run", "media", "/srv/inbox", relpath, relpath[0], seen, 5.0)


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.integers(0, 100) | st.none())))
def test_the_sums_are_those_of_what_is_there(steps: list[tuple[str, int | None]]) -> None:
    queued, model = Queued(), dict[str, Job]()
    for relpath, size in steps:
        model.pop(relpath, None)
        if size is None:
            queued.drop(relpath)
        else:
            queued.add(job(relpath, size))
            model[relpath] = job(relpath, size)
        assert list(queued) == list(model), "in order, and what comes again at the back"
        assert list(queued.jobs()) == list(model.values())
        assert queued.bytes == sum(each.fingerprint.size for each in model.values())
        assert queued.groups == Counter(each.group for each in model.values())
        assert len(queued) == len(model)


def test_one_that_is_taken_out_is_returned() -> None:
    queued = Queued()
    queued.add(job("a/1", 5))
    assert queued.oldest() == queued.get("a/1") == job("a/1", 5)
    assert "a/1" in queued
    assert queued.drop("a/1") == job("a/1", 5)
    assert queued.drop("a/1") is None
    assert not queued
    assert queued.groups == Counter()
