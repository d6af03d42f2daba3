"""How each part of an inbox is watched, and when a watcher is given up: decided from plain values."""

import pytest

from hotfolder.core.watching import (
    RETRY,
    SHORTEST_POLL,
    Means,
    Mount,
    Polled,
    Wanted,
    apart,
    changed,
    plan_of,
    poll_period,
    rest_before,
    way_of,
)


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("ext4", Means.INOTIFY),
        ("xfs", Means.INOTIFY),
        ("btrfs", Means.INOTIFY),
        ("zfs", Means.INOTIFY),
        ("tmpfs", Means.INOTIFY),
        ("fuseblk", Means.INOTIFY),
        ("", Means.INOTIFY),
        ("overlay", Means.BOTH),
        ("nfs4", Means.POLLING),
        ("nfs", Means.POLLING),
        ("cifs", Means.POLLING),
        ("smb3", Means.POLLING),
        ("fuse", Means.POLLING),
        ("fuse.sshfs", Means.POLLING),
        ("fuse.bindfs", Means.POLLING),
        ("9p", Means.POLLING),
        ("virtiofs", Means.POLLING),
        ("ceph", Means.POLLING),
    ],
)
def test_the_type_of_a_file_system_decides(kind: str, way: Means) -> None:
    assert way_of(kind, "auto") is way


@pytest.mark.parametrize("wanted", ["inotify", "polling"])
def test_the_operator_may_decide_otherwise(wanted: Wanted) -> None:
    assert way_of("ext4", wanted) == wanted
    assert way_of("nfs4", wanted) == wanted


def test_a_share_below_a_local_inbox_is_polled_and_nothing_else() -> None:
    plan = plan_of([Mount("", "ext4", 1), Mount("nas", "cifs", 2), Mount("ram", "tmpfs", 3)], "auto")
    assert plan.listens
    assert plan.deaf == {"nas"}
    assert [part.relpath for part in plan.polled] == ["nas"]
    assert "cifs" in plan.polled[0].why


def test_below_a_share_all_is_polled_with_it() -> None:
    plan = plan_of([Mount("", "nfs4", 1), Mount("disk", "ext4", 2), Mount("more", "cifs", 3)], "auto")
    assert not plan.listens
    assert [part.relpath for part in plan.polled] == [""]


def test_an_overlay_is_listened_to_and_polled() -> None:
    plan = plan_of([Mount("", "overlay", 1), Mount("nas", "nfs", 2)], "auto")
    assert plan.listens
    assert plan.deaf == {"nas"}
    assert [part.relpath for part in plan.polled] == [""]


def test_where_nothing_tells_of_mounts_all_is_listened_to() -> None:
    plan = plan_of([], "auto")
    assert plan.listens
    assert not plan.polled


def test_polling_that_was_asked_for_needs_no_known_file_system() -> None:
    plan = plan_of([], "polling")
    assert not plan.listens
    assert [part.relpath for part in plan.polled] == [""]


def test_a_mount_that_came_went_or_was_replaced_is_a_change() -> None:
    before = [Mount("", "ext4", 1), Mount("a", "cifs", 2), Mount("b", "tmpfs", 3)]
    now = [Mount("", "ext4", 1), Mount("b", "tmpfs", 4), Mount("c", "tmpfs", 5)]
    assert changed(before, now) == ["a", "b", "c"]
    assert changed(now, now) == []


def test_parts_within_others_are_walked_with_them() -> None:
    parts = [Polled("a/b", ""), Polled("a", ""), Polled("ab", ""), Polled("c", "")]
    assert [part.relpath for part in apart(parts)] == ["a", "ab", "c"]
    assert [part.relpath for part in apart([*parts, Polled("", "")])] == [""]


def test_a_poll_costs_a_few_per_cent_of_the_time() -> None:
    assert poll_period(None) == SHORTEST_POLL
    assert poll_period(0.1) == SHORTEST_POLL
    assert poll_period(4.0) == 100.0


def test_a_watcher_that_keeps_dying_is_started_ever_more_rarely() -> None:
    assert rest_before([], 1000.0) == 0.0
    assert rest_before([990.0, 995.0], 1000.0) == 0.0
    assert rest_before([990.0, 995.0, 999.0], 1000.0) == RETRY
    assert rest_before([980.0, 990.0, 995.0, 999.0], 1000.0) == 2 * RETRY
    assert rest_before([float(second) for second in range(900, 1000)], 1000.0) == 10 * RETRY
    assert rest_before([100.0, 200.0, 300.0], 1000.0) == 0.0
