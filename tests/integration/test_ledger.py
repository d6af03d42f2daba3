"""The ledger on a real disk: torn tails, full disks, many processes."""

import os
import resource
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.ledger import ChainBroken, FileLedger, verify_chain
from hotfolder.core.errors import LocalError
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "operation_id": name, **more}


def names(path: Path) -> list[str]:
    """The operation ids, oldest first."""
    return [line["operation_id"] for line in FileLedger(path).newest_first()][::-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def test_reading_an_absent_ledger_makes_none(path: Path) -> None:
    assert list(FileLedger(path).newest_first()) == []
    assert verify_chain(path).lines == 0
    assert not path.exists()


def test_repairing_an_absent_ledger_makes_none(path: Path) -> None:
    FileLedger(path).repair()
    assert not path.exists()


def test_lines_are_compact_json_readable_by_people_and_closed_to_strangers(path: Path) -> None:
    FileLedger(path).append([entry("a", target_path="/srv/inbox/Übung 🎬.mp4")])
    assert path.read_text() == (
        '{"schema":1,"operation_id":"a","target_path":"/srv/inbox/Übung 🎬.mp4","prev":"'
        + "0" * 64
        + '"}\n'
    )
    assert stat.S_IMODE(path.stat().st_mode) & 0o037 == 0


def test_a_line_with_an_undecodable_path_is_ascii(path: Path) -> None:
    FileLedger(path).append([entry("a", target_path="/srv/é\udcff")])
    assert rb'"/srv/\u00e9\udcff"' in path.read_bytes()
    assert next(FileLedger(path).newest_first())["target_path"] == "/srv/é\udcff"


def test_no_text_breaks_a_line(path: Path) -> None:
    FileLedger(path).append([entry("a", text="\n\r\x00\x1b\u2028\u0085"), entry("b")])
    assert path.read_bytes().count(b"\n") == 2
    assert names(path) == ["a", "b"]


@pytest.mark.parametrize(
    "sizes", [[1], [3, 70_000, 1], [65_536 * 2, 65_535, 65_537], [200_000, 200_000]]
)
def test_lines_longer_than_a_block_are_read_backward(path: Path, sizes: Sequence[int]) -> None:
    for number, size in enumerate(sizes):
        FileLedger(path).append([entry(str(number), text="x" * size)])
    assert [len(line["text"]) for line in FileLedger(path).newest_first()] == list(reversed(sizes))
    assert verify_chain(path).lines == len(sizes)


def test_line_ends_on_every_edge_of_a_block_are_found(path: Path) -> None:
    for shift in range(65_430, 65_540):
        path.unlink(missing_ok=True)
        ledger = FileLedger(path)
        ledger.append([entry("a"), entry("b", text="x" * shift)])
        FileLedger(path).append([entry("c")])  # finds the tail anew
        assert names(path) == ["a", "b", "c"]
        assert verify_chain(path).lines == 3


def test_a_tail_torn_at_any_byte_is_cut_and_reported(path: Path) -> None:
    ledger = FileLedger(path)
    ledger.append([entry("a"), entry("b")])
    kept = path.stat().st_size
    ledger.append([entry("torn", text="é")])
    whole = path.read_bytes()
    for length in range(kept + 1, len(whole)):
        path.write_bytes(whole[:length])
        assert names(path) == ["a", "b"]
        assert verify_chain(path).lines == 2
        with capture_logs() as logs:
            FileLedger(path).append([entry("c")])
        assert [(log["event"], log["bytes"]) for log in logs] == [
            ("ledger.torn_tail_cut", length - kept)
        ]
        assert names(path) == ["a", "b", "c"]
        assert verify_chain(path).lines == 3


def test_a_first_line_torn_leaves_an_empty_ledger(path: Path) -> None:
    path.write_bytes(b'{"schema":1,"oper')
    FileLedger(path).append([entry("a")])
    assert (names(path), verify_chain(path).lines) == (["a"], 1)


def test_whole_lines_behind_a_lost_page_are_cut_with_it(path: Path) -> None:
    FileLedger(path).append([entry("a")])
    believed = path.stat().st_size
    FileLedger(path).append([entry("b"), entry("c", text="x" * 5000), entry("d")])
    content = bytearray(path.read_bytes())
    content[believed + 30 : believed + 4000] = bytes(3970)  # the end of b and the begin of c
    path.write_bytes(content)
    ledger = FileLedger(path)
    ledger.repair()
    assert names(path) == ["a"]
    ledger.append([entry("e")])
    assert names(path) == ["a", "e"]
    assert verify_chain(path).lines == 2


def test_old_zeros_are_a_damage_and_nothing_behind_them_is_cut(path: Path) -> None:
    FileLedger(path).append([entry("a"), entry("b")])
    content = path.read_bytes()
    FileLedger(path).append([entry(str(number), text="x" * 50_000) for number in range(40)])
    whole = path.read_bytes()
    path.write_bytes(content.replace(b'"b"', b"\0\0\0") + whole[len(content) :])
    FileLedger(path).append([entry("new")])
    assert names(path) == ["a", *map(str, range(40)), "new"]


def test_the_zeros_of_a_lost_page_are_cut_though_the_last_page_is_there(path: Path) -> None:
    """A power cut may keep the end of an unfinished batch and lose its beginning."""
    FileLedger(path).append([entry("a")])
    kept = path.stat().st_size
    with open(path, "ab") as file:
        file.write(bytes(4096) + b'"prev":"0000"}\n{"half\0')
    with capture_logs() as logs:
        FileLedger(path).append([entry("b")])
    assert logs[0]["bytes"] == 4096 + 22
    assert path.read_bytes()[kept:].startswith(b'{"schema":1,"operation_id":"b"')
    assert verify_chain(path).lines == 2


def test_a_ledger_that_knows_its_tail_still_sees_what_others_did(path: Path) -> None:
    mine, other = FileLedger(path), FileLedger(path)
    for number in range(3):
        mine.append([entry(f"mine-{number}")])
        other.append([entry(f"other-{number}")])
    with open(path, "ab") as file:
        file.write(b'{"torn')
    mine.append([entry("last")])
    assert verify_chain(path).lines == 7


def test_a_ledger_that_was_removed_begins_anew(path: Path) -> None:
    ledger = FileLedger(path)
    ledger.append([entry("a")])
    path.unlink()
    ledger.append([entry("b")])
    assert (names(path), verify_chain(path).lines) == (["b"], 1)


def test_a_reader_that_stops_early_leaves_nothing_open(path: Path) -> None:
    FileLedger(path).append([entry("a"), entry("b")])
    reader = FileLedger(path).newest_first()
    assert next(reader)["operation_id"] == "b"
    del reader  # an open file would raise ResourceWarning
    FileLedger(path).append([entry("c")])


def test_a_reader_is_not_disturbed_by_what_is_appended_meanwhile(path: Path) -> None:
    ledger = FileLedger(path)
    ledger.append([entry("a"), entry("b")])
    reader = ledger.newest_first()
    assert next(reader)["operation_id"] == "b"
    ledger.append([entry("c")])
    assert [line["operation_id"] for line in reader] == ["a"]


@pytest.mark.parametrize("damage", [b"\xff\xfe rotten", b"[1]", b""])
def test_one_damaged_line_hides_only_itself(path: Path, damage: bytes) -> None:
    FileLedger(path).append([entry("a")])
    with open(path, "ab") as file:
        file.write(damage + b"\n")
    FileLedger(path).append([entry("b")])
    with capture_logs() as logs:
        assert names(path) == ["a", "b"]
    assert [log["event"] for log in logs] == ["ledger.line_unreadable"]
    with pytest.raises(ChainBroken, match="line 2 ") as caught:
        verify_chain(path)
    assert caught.value.line == 2


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_any_edited_line_breaks_the_chain_behind_it(path: Path, number: int) -> None:
    FileLedger(path).append([entry(str(n), status="success") for n in range(5)])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b"success", b"skipped")
    path.write_bytes(b"".join(lines))
    with pytest.raises(ChainBroken) as caught:
        verify_chain(path)
    assert caught.value.line == number + 1


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_removed_line_breaks_the_chain_in_its_place(path: Path, number: int) -> None:
    FileLedger(path).append([entry(str(n)) for n in range(5)])
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number - 1]
    path.write_bytes(b"".join(lines))
    with pytest.raises(ChainBroken) as caught:
        verify_chain(path)
    assert caught.value.line == number


def test_a_missing_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"gone/ledger\.jsonl") as caught:
        FileLedger(tmp_path / "gone" / "ledger.jsonl").append([entry("a")])
    assert caught.value.hint


def test_a_full_disk_keeps_the_old_lines_and_no_piece_of_the_new(small_disk: Path) -> None:
    path = small_disk / "ledger.jsonl"
    ledger = FileLedger(path)
    ledger.append([entry("a")])
    before = path.read_bytes()
    with pytest.raises(LocalError, match="No space left") as caught:
        ledger.append([entry("b"), entry("c", text="x" * 2_000_000)])
    assert "free space" in caught.value.hint
    assert path.read_bytes() == before
    ledger.append([entry("d")])
    assert (names(path), verify_chain(path).lines) == (["a", "d"], 2)


def test_a_write_that_fails_midway_is_undone(path: Path) -> None:
    """The limit lets the first bytes of the batch through, as a disk does that fills up meanwhile."""
    ledger = FileLedger(path)
    ledger.append([entry("a")])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(LocalError, match="File too large"):
            ledger.append([entry("b"), entry("c")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    ledger.append([entry("d")])
    assert verify_chain(path).lines == 2


APPENDER = textwrap.dedent("""
    import sys
    from hotfolder.adapters.ledger import FileLedger

    path, name, batches = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ledger = FileLedger(path)
    sys.stdin.readline()  # all begin at once
    for batch in range(batches):
        ledger.append([
            {"schema": 1, "operation_id": f"{name}-{batch}-{number}", "text": "x" * (batch * 37 % 5000)}
            for number in range(batch % 4 + 1)
        ])
""")


def appender(path: Path, name: str, batches: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(path), name, str(batches)], stdin=subprocess.PIPE
    )


def begin(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()


def test_processes_that_append_at_once_keep_one_chain(path: Path) -> None:
    batches = 100
    processes = [appender(path, name, batches) for name in "abcd"]
    begin(processes)
    assert [process.wait() for process in processes] == [0] * 4
    expected = [f"-{batch}-{number}" for batch in range(batches) for number in range(batch % 4 + 1)]
    written = names(path)
    for name in "abcd":
        assert [line[1:] for line in written if line[0] == name] == expected
    assert verify_chain(path).lines == 4 * len(expected)


def test_processes_killed_while_appending_leave_a_chain_that_goes_on(path: Path) -> None:
    for turn in range(3):
        processes = [appender(path, f"{name}{turn}", 1_000_000) for name in "ab"]
        begin(processes)
        size = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size < size + 200_000:
            os.sched_yield()
        for process in processes:
            process.kill()
            process.wait()
        FileLedger(path).append([entry(f"after-{turn}")])
        assert names(path)[-1] == f"after-{turn}"
        assert verify_chain(path).lines == path.read_bytes().count(b"\n")


def test_a_follower_reads_on_from_where_it_began(path: Path) -> None:
    ledger = FileLedger(path)
    ledger.append([entry("1"), entry("2"), entry("3")])
    follower = ledger.follow()
    assert [line.entry["operation_id"] for line in follower.last(2)] == ["2", "3"]
    assert follower.new() == []
    ledger.append([entry("4"), entry("5")])
    new = follower.new()
    assert [line.entry["operation_id"] for line in new] == ["4", "5"]
    assert b"\n".join(line.raw for line in new) == path.read_bytes().split(b"\n", 3)[3].rstrip(b"\n")
    assert [line.entry["operation_id"] for line in follower.last(1)] == ["5"]
    follower.close()


def test_a_follower_survives_that_the_file_comes_late_is_rotated_and_replaced(path: Path) -> None:
    ledger = FileLedger(path)
    follower = ledger.follow()
    assert follower.last(5) == follower.new() == []
    ledger.append([entry("1")])
    assert [line.entry["operation_id"] for line in follower.new()] == ["1"]
    ledger.append([entry("2")])
    path.rename(path.with_name("ledger-000001.jsonl"))
    assert [line.entry["operation_id"] for line in follower.new()] == ["2"]
    FileLedger(path).append([entry("3")])
    assert [line.entry["operation_id"] for line in follower.new()] == ["3"]
    other = path.with_name("other")
    FileLedger(other).append([entry("4")])
    os.replace(other, path)
    assert [line.entry["operation_id"] for line in follower.new()] == ["4"]
    follower.close()


def test_a_follower_passes_over_torn_and_damaged_lines(path: Path) -> None:
    ledger = FileLedger(path)
    ledger.append([entry("1")])
    follower = ledger.follow()
    with path.open("ab") as file:
        file.write(b'{"torn":')
    assert follower.new() == []
    FileLedger(path).append([entry("2")])
    with path.open("ab") as file:
        file.write(b"\xff\n")
    FileLedger(path).append([entry("3")])
    with capture_logs() as logs:
        assert [line.entry["operation_id"] for line in follower.new()] == ["2", "3"]
    assert [told["event"] for told in logs] == ["ledger.line_unreadable"]
    follower.close()


def test_lines_that_hold_none_of_the_pieces_are_not_even_parsed(path: Path) -> None:
    FileLedger(path).append([entry("1", kind="a"), entry("2", kind="b"), entry("3", kind="a")])
    with path.open("ab") as file:
        file.write(b"no JSON and no such piece\n")
    with capture_logs() as logs:
        found = list(FileLedger(path).newest_first([b'"a"', b'"none"']))
    assert [line["operation_id"] for line in found] == ["3", "1"]
    assert logs == []
