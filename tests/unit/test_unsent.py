"""A body is handed to the transport in runs, as it lies."""

from hypothesis import given
from hypothesis import strategies as st

from hotfolder.adapters.direct.unsent import Unsent
from hotfolder.core.ports import Scattered


@given(pieces=st.lists(st.binary(max_size=20), max_size=8), run=st.integers(1, 30))
def test_runs_are_full_and_in_order(pieces: list[bytes], run: int) -> None:
    unsent, whole = Unsent(Scattered(list(pieces))), b"".join(pieces)
    runs: list[bytes] = []
    while unsent:
        left = len(unsent)
        runs.append(b"".join(unsent.take(run)))
        assert len(unsent) == left - len(runs[-1])
    assert b"".join(runs) == whole
    assert all(len(each) == run for each in runs[:-1])


def test_nothing_is_copied() -> None:
    piece = bytearray(b"0123456789")
    unsent = Unsent(memoryview(piece))
    taken = unsent.take(4) + unsent.take(10)
    piece[:] = b"abcdefghij"
    assert b"".join(taken) == b"abcdefghij"
