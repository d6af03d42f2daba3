"""What the doctor makes of the machine."""

import errno
import os
from dataclasses import replace

import pytest

from hotfolder.core.checkup import (
    Finding,
    FolderFacts,
    Space,
    State,
    as_size,
    as_span,
    daemon_finding,
    hold_findings,
    space_finding,
    spool_finding,
    state_finding,
    verdict,
)
from hotfolder.core.folder_checkup import (
    Census,
    census_finding,
    inbox_finding,
    kept_finding,
    output_finding,
)
from hotfolder.core.limits_checkup import (
    InotifyLimit,
    instances_finding,
    open_files_finding,
    queue_finding,
    watches_finding,
)
from hotfolder.core.room import RESERVE
from hotfolder.core.settle import Ready, Writer
from hotfolder.core.settling_checkup import settling_finding
from hotfolder.core.watching import Mount, Wanted
from hotfolder.core.watching_checkup import watching_finding

INBOX = FolderFacts("/srv/in box", True, readable=True, writable=True, device=1, mount=7)
DONE = FolderFacts("/srv/completed", True, readable=True, writable=True, device=1, mount=7)
ABSENT = FolderFacts(
    "/srv/completed", False, readable=True, writable=True, device=1, mount=7, maker="/srv"
)


def output(
    place: FolderFacts, inbox: FolderFacts = INBOX, trouble: str = "", *, whole: bool = False
) -> Finding:
    return output_finding("folders.a.completed", place, inbox, trouble=trouble, user="hf", whole=whole)


def state(place: FolderFacts, network: str | None = None, trouble: str = "") -> Finding:
    return state_finding(place, network=network, trouble=trouble, user="hf")


@pytest.mark.parametrize(
    ("directories", "in_use", "limit", "expected"),
    [
        (5, 0, InotifyLimit(5), State.WARNING),  # soon
        (4, 0, InotifyLimit(5), State.OK),
        (6, 0, InotifyLimit(5), State.WARNING),
        (100, 900, InotifyLimit(8192), State.OK),
        (100, 8192, InotifyLimit(8192), State.WARNING),
        (100, 0, InotifyLimit(8192, 8192), State.OK),
        (100, 0, InotifyLimit(8192, 50), State.WARNING),
        (100, 0, InotifyLimit(None), State.OK),
    ],
)
def test_watches(directories: int, in_use: int, limit: InotifyLimit, expected: State) -> None:
    assert watches_finding(directories, limit, in_use=in_use).state is expected


def test_too_few_watches_are_raised_now_and_for_every_start() -> None:
    finding = watches_finding(9000, InotifyLimit(8192, 8192), in_use=10)
    assert "9000 folders" in finding.what
    assert "8192" in finding.what
    assert finding.commands == (
        "sudo sysctl fs.inotify.max_user_watches=524288",
        "echo fs.inotify.max_user_watches=524288 | sudo tee -a /etc/sysctl.d/60-hotfolder.conf",
    )
    assert finding.numbers == {"needed": 9000, "limit": 8192, "used_by_others": 10}
    (command, _) = watches_finding(1_000_000, InotifyLimit(8192), in_use=0).commands
    assert command.endswith("=2097152")


def test_a_user_namespace_has_a_limit_of_its_own_and_a_fix_of_its_own() -> None:
    finding = watches_finding(9, InotifyLimit(8192, 5), in_use=0)
    assert finding.commands == ("echo 524288 > /proc/sys/user/max_inotify_watches",)
    both = watches_finding(9000, InotifyLimit(8192, 5), in_use=0)
    assert [command.split()[0] for command in both.commands] == ["echo", "sudo", "echo"]


def test_a_count_that_was_stopped_is_no_all_clear() -> None:
    finding = watches_finding(3_000_000, InotifyLimit(8_000_000), in_use=0, whole=False)
    assert finding.state is State.WARNING
    assert "at least 3000000" in finding.what


def test_instances_queue_and_open_files() -> None:
    assert instances_finding(2, InotifyLimit(128), in_use=126).state is State.OK
    short = instances_finding(2, InotifyLimit(128), in_use=127)
    assert short.state is State.WARNING
    assert short.commands[0] == "sudo sysctl fs.inotify.max_user_instances=1024"
    assert instances_finding(2, InotifyLimit(None), in_use=127).state is State.OK
    assert queue_finding(16384).state is queue_finding(None).state is State.OK
    assert queue_finding(100).state is State.WARNING
    assert open_files_finding(1024, connections=384, flights=256, folders=1).state is State.OK
    few = open_files_finding(256, connections=384, flights=256, folders=1)
    assert few.state is State.WARNING
    assert "LimitNOFILE=1024" in few.fix


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Space(10**12, 9 * 10**11), State.OK),
        (Space(10**12, 4 * 10**10), State.WARNING),
        (Space(10**9, 9 * 10**8), State.WARNING),
        (Space(10**12, 9 * 10**7), State.ERROR),
        (Space(10**12, 9 * 10**11, 10**6, 999), State.ERROR),
        (Space(10**12, 9 * 10**11, 0, 0), State.OK),  # btrfs counts no inodes
    ],
)
def test_free_space(space: Space, expected: State) -> None:
    assert space_finding("state_dir.space", "/var", space).state is expected


def test_the_spool_tells_its_place_and_what_fits() -> None:
    plenty = spool_finding("folders.box.spool", "/state/spool", Space(10**12, 10**11), kept=False)
    assert plenty.state is State.OK
    assert "/state/spool" in plenty.what
    assert plenty.numbers["room_bytes"] == 10**11 - RESERVE
    scarce = spool_finding("folders.box.spool", "/state/spool", Space(10**12, 10**6), kept=False)
    assert (scarce.state, scarce.numbers["room_bytes"]) == (State.WARNING, 0)
    assert "are compressed while they are sent" in scarce.fix
    kept = spool_finding("folders.box.spool", "/state/spool", Space(10**12, 10**6), kept=True)
    assert kept.fix.endswith("larger files wait")


def test_an_inbox_must_be_there_readable_and_writable() -> None:
    assert inbox_finding("i", INBOX, user="hf").state is State.OK
    for place, word in (
        (replace(INBOX, is_there=False), "is not there"),
        (replace(INBOX, is_there=False, trouble="is no folder"), "is no folder"),
        (replace(INBOX, readable=False), "list and enter"),
        (replace(INBOX, writable=False), "move files out of"),
    ):
        finding = inbox_finding("i", place, user="hf")
        assert finding.state is State.ERROR
        assert word in finding.what
    denied = inbox_finding("i", replace(INBOX, writable=False), user="hf")
    assert denied.commands == ("sudo setfacl -m u:hf:rwx '/srv/in box'",)
    assert inbox_finding("i", replace(INBOX, sticky=True), user="hf").state is State.WARNING


def test_outputs_must_take_renames_from_the_inbox() -> None:
    assert output(DONE).state is State.OK
    assert "will be made" in output(ABSENT).what
    for finding, word in (
        (output(replace(DONE, writable=False)), "may not write in /srv/completed"),
        (output(replace(ABSENT, writable=False)), "may not write in /srv"),
        (output(DONE, trouble="Operation not supported"), "Operation not supported"),
        (output(FolderFacts("/x", False, trouble="is no folder")), "is no folder"),
    ):
        assert finding.state is State.ERROR
        assert word in finding.what
    for place, word in (
        (replace(DONE, device=2), "another file system"),
        (replace(ABSENT, device=2), "another file system"),
        (replace(DONE, mount=8), "mounted twice"),
    ):
        finding = output(place)
        assert finding.state is State.WARNING, "it works, and it costs"
        assert word in finding.what
        assert "copied" in finding.what
        assert output(place, whole=True).state is State.ERROR, "no directory is copied"
    assert output(replace(DONE, mount=None)).state is State.OK  # an old kernel
    assert output(DONE, replace(INBOX, is_there=False, device=0)).state is State.OK


def test_the_state_folder_must_be_local_and_writable() -> None:
    assert state(DONE).state is state(ABSENT).state is State.OK
    assert "nfs4" in state(DONE, network="nfs4").what
    assert "No space left" in state(DONE, trouble="No space left on device").what
    assert state(replace(ABSENT, writable=False)).state is State.ERROR
    assert state(DONE, trouble="x").state is state(DONE, network="9p").state is State.ERROR


def test_whether_writers_can_be_asked_for() -> None:
    def said(*asked: Writer, network: str | None = None, ready: Ready = Ready.QUIET) -> Finding:
        return settling_finding("f", "/srv/in", asked, network=network, ready=ready, settle=5)

    assert "left until it is closed" in said().what
    assert "left until it is closed" in said(Writer.NONE, Writer.OPEN).what
    assert (
        "of 1 file in /srv/in: whole is what is quiet for 5s" in said(Writer.UNKNOWN, Writer.NONE).what
    )
    assert "on nfs4 (the inbox /srv/in): whole is" in said(network="nfs4").what
    assert said(network="nfs4").state is State.OK
    closed = said(Writer.UNKNOWN, ready=Ready.CLOSED)
    assert closed.state is State.WARNING
    assert "CAP_LEASE" in closed.fix
    assert "CAP_LEASE" not in said(network="cifs", ready=Ready.CLOSED).fix


def test_how_an_inbox_is_watched() -> None:
    def said(*mounts: Mount, wanted: Wanted = "auto") -> Finding:
        return watching_finding("f", "/srv/in", mounts, wanted=wanted, rescan=300)

    assert said(Mount("", "ext4", 1)).what == "/srv/in is on ext4: watched by inotify"
    assert "on a local file system" in said().what
    assert "polled every 10s or more: the inbox (nfs4" in said(Mount("", "nfs4", 1)).what
    mixed = said(Mount("", "ext4", 1), Mount("nas", "cifs", 2))
    assert "watched by inotify, and polled every 10s or more: nas (cifs" in mixed.what
    assert mixed.state is State.OK
    insisted = said(Mount("", "ext4", 1), Mount("nas", "cifs", 2), wanted="inotify")
    assert insisted.state is State.WARNING
    assert "every 5m, is what others write to nas (cifs" in insisted.what
    many = [Mount(str(number), "cifs", number) for number in range(7)]
    assert said(*many).what.endswith(", and 2 more")


def test_what_cannot_be_delivered_as_it_is() -> None:
    def said(census: Census) -> Finding:
        return census_finding("w", "/srv/in", census, user="hf")

    assert "3 files in 1 folder; 2 entries stay" in said(Census(3, 1, odd=2)).what
    assert "at least 3 files" in said(Census(3, 1, whole=False)).what
    for census in (
        Census(0, 2, shut=1, first_shut="a"),
        Census(0, 2, stuck=1, first_stuck="a"),
        Census(1, 2, unreadable=1, first_unreadable="a"),
    ):
        assert said(census).state is State.ERROR
        assert "such as a" in said(census).what


def test_the_daemon_and_who_it_is() -> None:
    assert "no daemon runs" in daemon_finding(None, owner="hf", user="hf").what
    assert daemon_finding(12, owner="hf", user="hf").state is State.OK
    other = daemon_finding(12, owner="hf", user="root")
    assert other.state is State.WARNING
    assert other.commands == ("sudo -u hf hotfolder check",)


def test_an_inbox_of_another_daemon() -> None:
    told = kept_finding("folders.a.keeper", "/srv/in", 12)
    assert (told.state, "process 12" in told.what) == (State.ERROR, True)
    assert "another container" in kept_finding("folders.a.keeper", "/srv/in", 0).what


def test_words() -> None:
    assert [as_size(n) for n in (0, 999, 1500, 2 * 10**12, 3 * 10**15)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.0 TB",
        "3.0 PB",
    ]
    assert [as_span(n) for n in (0, 59.6, 3600, 3725, 90061)] == ["0s", "1m", "1h", "1h 2m", "1d 1h"]
    found = [Finding("a", State.OK, ""), Finding("b", State.WARNING, ""), Finding("c", State.ERROR, "")]
    assert verdict(found) == (1, 1)


def test_a_full_disk_is_no_question_of_rights() -> None:
    full = os.strerror(errno.ENOSPC)
    for found in (state(DONE, trouble=full), output(DONE, trouble=full)):
        assert (found.state, found.fix) == (State.ERROR, "free space on its file system")
        assert not found.commands


def test_a_read_only_file_system_is_no_question_of_rights() -> None:
    mounted = replace(DONE, writable=False, read_only=True)
    for found in (state(mounted), output(mounted), output(replace(ABSENT, read_only=True))):
        assert found.state is State.ERROR
        assert "is read-only" in found.what
        assert found.commands[0].startswith("findmnt")


def test_what_the_daemon_says_of_itself_is_told() -> None:
    well = {"hold": None, "paused": None}
    assert not list(hold_findings(well, stale=False))
    (silent,) = hold_findings(well, stale=True)
    assert (silent.id, silent.state) == ("daemon.heartbeat", State.ERROR)
    (held,) = hold_findings({**well, "hold": "/srv/in lacks its volume"}, stale=False)
    assert (held.state, held.what) == (State.ERROR, "the daemon waits: /srv/in lacks its volume")
    (paused,) = hold_findings({**well, "paused": {"by": "alice", "since": 5.0}}, stale=False)
    assert (paused.state, paused.commands) == (State.WARNING, ("hotfolder resume",))
