"""Chunks of memory: used again, and never while anybody looks at them."""

import hashlib
import mmap
from concurrent.futures import ThreadPoolExecutor

import pytest

from hotfolder import piece_memory
from hotfolder.core.segments import MIB, PIECE, STORED_BLOCK, stored_blocks, stored_size
from hotfolder.piece_memory import SIZE, PieceMemory


def test_a_chunk_that_nobody_looks_at_is_lent_again() -> None:
    pieces = PieceMemory()
    first = pieces.lend()
    first[:4] = b"once"
    del first
    again = pieces.lend()
    assert (bytes(again[:4]), len(again), pieces.free) == (b"once", SIZE, 0)


@pytest.mark.parametrize(
    "look",
    [
        lambda chunk: chunk[7:],
        lambda chunk: memoryview(chunk)[1:][1:],
        lambda chunk: chunk.toreadonly(),
        lambda chunk: [memoryview(chunk[:5]).cast("B")],
    ],
    ids=["slice", "slice of a slice", "read-only", "cast, in a list"],
)
def test_a_chunk_is_not_lent_while_any_view_of_it_is_left(look) -> None:  # type: ignore[no-untyped-def]
    pieces = PieceMemory()
    chunk = pieces.lend()
    view = look(chunk)
    del chunk
    assert pieces.free == 0
    other = pieces.lend()
    other[:] = b"x" * SIZE
    assert b"x" not in (bytes(view[0]) if isinstance(view, list) else bytes(view))
    del view
    assert pieces.free == 1


def test_a_chunk_that_a_future_or_an_error_keeps_is_not_lent() -> None:
    pieces = PieceMemory()

    def fail(chunk: memoryview) -> None:
        raise ValueError(chunk[3:])

    with pytest.raises(ValueError, match="memory") as failed:
        fail(pieces.lend())
    assert pieces.free == 0
    del failed
    assert pieces.free == 1


def test_what_is_about_a_piece_gets_a_chunk_and_what_is_not_gets_its_own() -> None:
    pieces = PieceMemory()
    for size in (0, 1, 4096, SIZE + 1):
        assert len(pieces.room_for(size)) == size
        assert pieces.free == 0
    for size in (PIECE, SIZE, 512 * 1024):
        assert len(pieces.room_for(size)) == size
        assert pieces.free == 1


def test_a_chunk_holds_a_piece_in_stored_blocks() -> None:
    for size in (0, 1, STORED_BLOCK, STORED_BLOCK + 1, PIECE):
        assert stored_size(size) == sum(map(len, stored_blocks(bytes(size))))
    assert stored_size(PIECE) + 1024 <= SIZE


def test_at_rest_all_that_is_free_goes_back() -> None:
    pieces = PieceMemory()
    kept, lent = pieces.lend(), [pieces.lend() for _ in range(3)]
    lent.clear()
    assert pieces.free == 3
    pieces.give_back()
    assert pieces.free == 0
    kept[:] = bytes(SIZE)  # still ours


def test_what_a_peak_left_behind_goes_back_when_no_moment_needs_it() -> None:
    pieces = PieceMemory()
    peak = [pieces.lend() for _ in range(100)]
    peak.clear()
    for _ in range(3 * piece_memory._TERM):
        few = [pieces.lend() for _ in range(5)]
        few.clear()
    assert pieces.free == 5


def test_many_threads_never_share_a_chunk() -> None:
    pieces = PieceMemory()

    def work(number: int) -> bool:
        mark = bytes([number]) * MIB
        for _ in range(40):
            chunk = pieces.lend()[:MIB]
            chunk[:] = mark
            if hashlib.sha256(chunk).digest() != hashlib.sha256(mark).digest():
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(1, 5)))


def test_no_memory_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match="Cannot allocate"):
        PieceMemory().lend()
