"""Full ledger files: numbered, packed, read as one, and crashed at every step."""

import gzip
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.ledger import ChainBroken, FileLedger, verify_chain
from hotfolder.core.errors import LocalError
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]

SMALL = 1_000  # bytes


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "operation_id": f"{number:08}", "completed_at": f"{number:08}", **more}


def numbers(path: Path) -> list[int]:
    """The operations, oldest first."""
    return [int(line["operation_id"]) for line in FileLedger(path).newest_first()][::-1]


def always() -> bool:
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def written(path: Path, count: int, first: int = 0, **more: Any) -> FileLedger:
    ledger = FileLedger(path, rotate_at=SMALL)
    for number in range(first, first + count):
        ledger.append([entry(number, **more)])
    return ledger


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def test_a_full_file_gets_a_number_and_the_chain_goes_on_in_the_next(path: Path) -> None:
    written(path, 30)
    rotated = [name for name in names(path) if name != path.name]
    assert rotated[:2] == ["ledger-000001.jsonl", "ledger-000002.jsonl"]
    assert numbers(path) == list(range(30))
    checked = verify_chain(path)
    assert (checked.lines, checked.files, checked.torn) == (30, len(rotated) + 1, 0)
    for name in rotated:
        size = (path.parent / name).stat().st_size
        assert SMALL <= size < SMALL + 200


def test_packed_files_are_read_as_plain_ones(path: Path) -> None:
    ledger = written(path, 30)
    files = len(names(path))
    before = {name: path.with_name(name).read_bytes() for name in names(path) if name != path.name}
    assert ledger.pack_rotated(always) == len(before)
    assert names(path) == sorted([path.name, *(f"{name}.gz" for name in before)])
    for name, content in before.items():
        assert (
            subprocess.run(
                ["gzip", "-dc", path.with_name(f"{name}.gz")], capture_output=True, check=True
            ).stdout
            == content
        )
    assert path.with_name("ledger-000001.jsonl.gz").stat().st_mode & 0o777 == 0o640
    ledger.append([entry(30)])
    assert numbers(path) == list(range(31))
    assert (verify_chain(path).lines, verify_chain(path).files) == (31, files)
    assert ledger.recorded({"00000003", "00000029", "x"}, since="") == {"00000003", "00000029"}
    assert ledger.pack_rotated(always) == 0


def test_a_packing_that_is_not_wanted_any_more_leaves_nothing_behind(path: Path) -> None:
    ledger = written(path, 30)
    before = names(path)
    for stop_after in range(4):
        asked = iter([True] * stop_after)
        assert ledger.pack_rotated(lambda asked=asked: next(asked, False)) == (stop_after == 3)  # type: ignore[misc]
    assert [name for name in names(path) if name.startswith(".")] == []
    assert [name.removesuffix(".gz") for name in names(path)] == before


def test_the_first_line_behind_a_packed_file_goes_on_with_its_chain(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path, 5).pack_rotated(always)
    path.rename(path.with_name("ledger-000001.jsonl"))  # as a rotation does, that is killed then
    FileLedger(path).pack_rotated(always)
    monkeypatch.setattr("tempfile.tempdir", "/proc")  # there may be no room to unpack it
    FileLedger(path).append([entry(5)])
    assert verify_chain(path).lines == 6
    packed = path.with_name("ledger-000001.jsonl.gz")
    packed.write_bytes(packed.read_bytes()[:-20])
    path.unlink()
    with pytest.raises(LocalError, match="cannot unpack") as caught:
        FileLedger(path).append([entry(6)])
    assert "from a copy" in caught.value.hint
    with pytest.raises(LocalError, match="cannot unpack"):
        FileLedger(path).repair()


# -- crashes -------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here: no cleanup runs (it is no OSError)."""


CALLS = ["fsync", "fdatasync", "rename", "unlink", "open", "ftruncate", "write", "fchmod"]


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> list[str]:
    """Every call that changes the disk counts; number `step` is the last (or the first not done)."""
    made: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            if len(made) > step:
                raise Crash
            if len(made) == step and not after:
                raise Crash
            done = real(*args, **kwargs)
            if len(made) == step:
                raise Crash
            return done

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    return made


def crashes(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[bool]:
    """Whether the work crashed, before and after its call number `step`."""
    for after in (False, True):
        with monkeypatch.context() as patch:
            crash_at(step, patch, after=after)
            try:
                work()
            except Crash:
                crashed = True
            else:
                crashed = False
        yield crashed


def test_a_crash_at_any_step_of_a_rotation_costs_no_line_and_repeats_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, number = 0, 0
    crashed_once = False
    while True:
        step += 1
        for _ in range(40):  # until the next append rotates
            if path.exists() and path.stat().st_size >= SMALL:
                break
            FileLedger(path, rotate_at=SMALL).append([entry(number)])
            number += 1
        ended = []
        for crashed in crashes(
            lambda: FileLedger(path, rotate_at=SMALL).append([entry(number)]),  # noqa: B023
            monkeypatch,
            step,
        ):
            ended.append(not crashed)
            crashed_once = crashed_once or crashed
            FileLedger(path, rotate_at=SMALL).append([entry(number)])
            number += 1
            assert numbers(path) == list(range(number))
            assert verify_chain(path).lines == number
        if all(ended):
            break
    assert crashed_once


def test_a_crash_at_any_step_of_packing_costs_no_line_and_the_next_finishes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = 0, 0
    while True:
        step += 1
        for name in names(path):
            path.with_name(name).unlink()
        written(path, 9)
        assert "ledger-000001.jsonl" in names(path)
        count = len(numbers(path))
        ended = []
        for crashed in crashes(lambda: FileLedger(path).pack_rotated(always), monkeypatch, step):
            ended.append(not crashed)
            steps += crashed
            assert numbers(path) == list(range(count))
            assert verify_chain(path).lines == count
        FileLedger(path).pack_rotated(always)
        assert names(path) == ["ledger-000001.jsonl.gz", "ledger.jsonl"]
        assert verify_chain(path).lines == count
        if all(ended):
            break
    assert steps > 8


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"other", mtime=0), None],
    ids=["empty", "no gzip", "other", "absent"],
)
def test_a_packed_file_that_is_not_the_plain_one_is_made_anew(path: Path, content: bytes | None) -> None:
    ledger = written(path, 9)
    plain, packed = (path.with_name(f"ledger-000001.jsonl{ext}") for ext in ("", ".gz"))
    whole = plain.read_bytes()
    packed.write_bytes(gzip.compress(whole)[:-20] if content is None else content)
    assert verify_chain(path).lines == 9
    assert ledger.pack_rotated(always) == 1
    assert not plain.exists()
    assert gzip.decompress(packed.read_bytes()) == whole


def test_a_full_disk_leaves_the_plain_file(small_disk: Path) -> None:
    path = small_disk / "ledger.jsonl"
    ledger = FileLedger(path, rotate_at=200_000)
    for number in range(3):
        ledger.append([entry(number, text=os.urandom(80_000).hex())])
    (small_disk / "filler").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096 - 8192))
    with pytest.raises(LocalError, match="No space left"):
        ledger.pack_rotated(always)
    assert names(path) == ["filler", "ledger-000001.jsonl", "ledger.jsonl"]
    (small_disk / "filler").unlink()
    assert ledger.pack_rotated(always) == 1
    assert verify_chain(path).lines == 3


# -- readers -------------------------------------------------------------------------------------


def test_a_reader_goes_on_through_what_is_rotated_and_packed_under_it(path: Path) -> None:
    ledger = written(path, 30)
    reader = ledger.newest_first()
    seen = [next(reader)["operation_id"]]
    written(path, 30, first=30)
    ledger.pack_rotated(always)
    seen += [line["operation_id"] for line in reader]
    assert seen == [f"{number:08}" for number in range(29, -1, -1)]


def test_a_follower_misses_nothing_over_several_rotations(path: Path) -> None:
    follower = FileLedger(path).follow()
    ledger = written(path, 30)
    assert [line.entry["operation_id"] for line in follower.new()] == [f"{n:08}" for n in range(30)]
    written(path, 25, first=30)
    ledger.pack_rotated(always)
    written(path, 5, first=55)
    assert [line.entry["operation_id"] for line in follower.new()] == [f"{n:08}" for n in range(30, 60)]
    assert follower.new() == []
    assert [line.entry["operation_id"] for line in follower.last(40)] == [
        f"{n:08}" for n in range(20, 60)
    ]
    follower.close()


def test_a_damaged_packed_file_hides_only_what_is_behind_the_damage(path: Path) -> None:
    ledger = written(path, 30)
    ledger.pack_rotated(always)
    packed = path.with_name("ledger-000002.jsonl.gz")
    packed.write_bytes(packed.read_bytes()[:-12])
    with capture_logs() as logs:
        left = numbers(path)
    assert left[0] == 0
    assert left[-1] == 29
    assert "ledger.file_damaged" in [log["event"] for log in logs]
    with pytest.raises(ChainBroken, match="cannot be unpacked") as caught:
        verify_chain(path)
    assert caught.value.file == packed


# -- the chain -----------------------------------------------------------------------------------


def test_the_first_broken_line_is_named_with_its_file(path: Path) -> None:
    written(path, 30, status="success")
    plain = path.with_name("ledger-000002.jsonl")
    lines = plain.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b"success", b"skipped")
    plain.write_bytes(b"".join(lines))
    with pytest.raises(ChainBroken, match=r"ledger-000003\.jsonl line 1 ") as caught:
        verify_chain(path)
    assert (caught.value.file.name, caught.value.line) == ("ledger-000003.jsonl", 1)


@pytest.mark.parametrize("gone", [1, 2])
def test_a_missing_file_is_named(path: Path, gone: int) -> None:
    written(path, 30)
    path.with_name(f"ledger-{gone:06}.jsonl").unlink()
    with pytest.raises(ChainBroken, match=rf"ledger-00000{gone}\.jsonl .* is missing"):
        verify_chain(path)
    assert numbers(path)[-1] == 29, "what is there can be read"


def test_a_torn_last_line_is_told_and_is_no_error(path: Path) -> None:
    written(path, 3)
    with path.open("ab") as file:
        file.write(b'{"torn')
    assert (verify_chain(path).lines, verify_chain(path).torn) == (3, 6)


# -- once only -----------------------------------------------------------------------------------


def test_a_batch_whose_fsync_failed_and_that_could_not_be_cut_back_is_not_written_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = written(path, 2)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(os, "fdatasync", fail)
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(LocalError, match="Input/output"):
            ledger.append([entry(2), entry(3)])
        assert numbers(path) == [0, 1, 2, 3], "they stand there, and nobody believes them"
        other = FileLedger(path)
        patch.setattr(os, "fdatasync", os.fsync)
        other.append([entry(10)])
        patch.setattr(os, "fsync", fail)
        with pytest.raises(LocalError, match="Input/output"):
            ledger.append([entry(2), entry(3)])
    again: list[bytes] = []
    real = os.pwrite

    def write(descriptor: int, piece: bytes, offset: int) -> int:
        again.append(piece)
        return real(descriptor, piece, offset)

    monkeypatch.setattr(os, "pwrite", write)
    ledger.append([entry(2), entry(3), entry(4)])
    assert numbers(path) == [0, 1, 2, 3, 10, 4]
    assert verify_chain(path).lines == 6
    (piece,) = again
    assert piece.count(b"\n") == 3, "what the failed fsync may have lost was written again"


def test_a_repeated_batch_is_not_written_twice_though_the_file_was_rotated_between(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = written(path, 2)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(os, "fdatasync", fail)
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(LocalError):
            ledger.append([entry(2), entry(3)])
    written(path, 30, first=10).pack_rotated(always)
    ledger.append([entry(2), entry(3), entry(4)])
    assert numbers(path) == [0, 1, 2, 3, *range(10, 40), 4]


# -- several processes -----------------------------------------------------------------------------

APPENDER = textwrap.dedent("""
    import sys
    from hotfolder.adapters.ledger import FileLedger

    path, name, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ledger = FileLedger(path, rotate_at=20_000)
    sys.stdin.readline()  # all begin at once
    for batch in range(batches):
        ledger.append([
            {"schema": 1, "operation_id": f"{name * 1_000_000 + batch * 10 + number:08}",
             "text": "x" * (batch * 37 % 3000)}
            for number in range(batch % 4 + 1)
        ])
""")


def test_processes_that_append_while_files_are_rotated_packed_and_read_lose_nothing(path: Path) -> None:
    batches = 100
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path), str(name), str(batches)], stdin=subprocess.PIPE
        )
        for name in range(1, 5)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    daemon = FileLedger(path, rotate_at=20_000)
    follower = daemon.follow()
    followed: list[str] = []
    packed = 0
    while any(process.poll() is None for process in processes):
        packed += daemon.pack_rotated(always)
        followed += [line.entry["operation_id"] for line in follower.new()]
        seen = numbers(path)
        assert len(seen) == len(set(seen))
    followed += [line.entry["operation_id"] for line in follower.new()]
    follower.close()
    assert [process.returncode for process in processes] == [0] * 4
    expected = [batch * 10 + number for batch in range(batches) for number in range(batch % 4 + 1)]
    for name in range(1, 5):
        own = [number % 1_000_000 for number in numbers(path) if number // 1_000_000 == name]
        assert own == expected
    assert [int(operation_id) for operation_id in followed] == numbers(path)
    assert verify_chain(path).lines == 4 * len(expected)
    assert packed > 3
