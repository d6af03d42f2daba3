"""Two daemons, each with an inbox and a state folder of its own, for the same keys of one bucket."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box, files_below
from tests.support.checksums import as_said

ROUNDS, SMALL_ONES, LARGE_ONES = 3, 12, 2
_LARGE = 11 * 1024 * 1024  # three parts


@pytest.fixture
def rival(box: Box) -> Iterator[Box]:
    made = rival_of(box)
    yield made
    made.close()


def rival_of(box: Box) -> Box:
    """Another daemon for the same bucket."""
    (box.root / "rival").mkdir()
    return Box(
        box.root / "rival",
        endpoint_url=box.endpoint_url,
        access_key=box.access_key,
        secret_key=box.secret_key,
        bucket=box.bucket,
    )


def configure(boxes: tuple[Box, Box], on_conflict: str) -> None:
    for one in boxes:
        one.configure(f'settle = "300ms"\non_conflict = "{on_conflict}"')
        one.start()


def race(boxes: tuple[Box, Box], number: int) -> dict[str, tuple[bytes, bytes]]:
    """Drop the same names into both inboxes at once; every other one with the same content."""
    dice = random.Random(number)
    dropped = {}
    for index in range(SMALL_ONES + LARGE_ONES):
        size = _LARGE if index >= SMALL_ONES else 1000
        mine = dice.randbytes(size)
        other = mine if index % 2 else dice.randbytes(size)
        dropped[f"{number}-{index}"] = (mine, other)
    for name, contents in dropped.items():
        for box, content in zip(boxes, contents, strict=True):
            (box.root / name).write_bytes(content)
    for name in dropped:
        for box in boxes:
            (box.root / name).rename(box.inbox / name)
    return dropped


def by_name(box: Box, count: int) -> dict[str, dict[str, Any]]:
    lines = box.wait_recorded(count)
    assert len(lines) == count
    return {str(line["target_name"]): line for line in lines}


def holds(box: Box, line: dict[str, Any]) -> bool:
    """Whether the object is now what the line says of it."""
    body = box.s3().get_object(Bucket=box.bucket, Key=line["s3_object_key"])["Body"].read()
    return as_said(line["checksum_compressed"], body) == str(line["checksum_compressed"])


def nothing_is_left(*boxes: Box) -> None:
    for box in boxes:
        assert box.open_uploads() == []
        assert list(files_below(box.inbox)) == []
        assert box.stop() == 0


def test_both_end_well_where_both_are_kept(box: Box, rival: Box) -> None:
    boxes = (box, rival)
    configure(boxes, "keep-both")
    dropped: dict[str, tuple[bytes, bytes]] = {}
    for number in range(ROUNDS):
        dropped |= race(boxes, number)
        for one in boxes:
            one.wait_recorded(len(dropped))
    lines = [by_name(one, len(dropped)) for one in boxes]
    for name, (mine, other) in dropped.items():
        pair = [each[name] for each in lines]
        key = f"{name}.tar.gz"
        if mine == other:
            assert sorted(line["status"] for line in pair) == ["skipped", "success"], name
            assert {line["s3_object_key"] for line in pair} == {key}
        else:
            assert [line["status"] for line in pair] == ["success"] * 2, name
            (beside,) = {line["s3_object_key"] for line in pair} - {key}
            assert beside.startswith(f"{name}~")
        assert all(holds(box, line) for line in pair), name
        assert [line["attempts"] for line in pair] == [1, 1], "no race costs an attempt"
    nothing_is_left(*boxes)


def test_the_slower_one_fails_with_the_reason_where_that_is_wanted(box: Box, rival: Box) -> None:
    boxes = (box, rival)
    configure(boxes, "fail")
    dropped = race(boxes, 7)
    lines = [by_name(one, len(dropped)) for one in boxes]
    for name, (mine, other) in dropped.items():
        pair = sorted((each[name] for each in lines), key=lambda line: str(line["status"]))
        assert pair[-1]["status"] == "success"
        if mine == other:
            assert pair[0]["status"] == "skipped"
            assert holds(box, pair[0])
        else:
            assert pair[0]["status"] == "failed"
            assert f"{name}.tar.gz is taken by other content" in pair[0]["error_message"]
            assert Path(pair[0]["result_path"]).read_bytes() in (mine, other)
        assert holds(box, pair[-1])
    assert len(box.keys()) == len(dropped)
    nothing_is_left(*boxes)


def test_the_last_one_wins_where_others_are_overwritten(box: Box, rival: Box) -> None:
    boxes = (box, rival)
    configure(boxes, "overwrite")
    dropped = race(boxes, 8)
    lines = [by_name(one, len(dropped)) for one in boxes]
    for name in dropped:
        pair = [each[name] for each in lines]
        assert {line["status"] for line in pair} <= {"success", "skipped"}, name
        assert any(holds(box, line) for line in pair)
    assert sorted(box.keys()) == sorted(f"{name}.tar.gz" for name in dropped)
    nothing_is_left(*boxes)


def test_on_a_store_without_conditions_only_what_ran_side_by_side_is_overwritten(
    box_of_juicefs: Box,
) -> None:
    box, rival = box_of_juicefs, rival_of(box_of_juicefs)
    boxes = (box, rival)
    try:
        configure(boxes, "keep-both")
        dropped: dict[str, tuple[bytes, bytes]] = {}
        for number in range(ROUNDS):
            dropped |= race(boxes, number)
            for one in boxes:
                one.wait_recorded(len(dropped))
        lines = [by_name(one, len(dropped)) for one in boxes]
        for name in dropped:
            pair = [each[name] for each in lines]
            assert {line["status"] for line in pair} <= {"success", "skipped"}, name
            true = [line for line in pair if holds(box, line)]
            assert true, name
            for lost in (line for line in pair if line not in true):
                assert true[0]["started_at"] < lost["completed_at"], "it looked before it sent"
                assert true[0]["s3_object_key"] == lost["s3_object_key"]
        nothing_is_left(*boxes)
    finally:
        rival.close()
