"""Moving originals: nothing is clobbered, and only what was read is moved."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfolder.adapters.finishing import Finisher
from hotfolder.adapters.state.mounts import SqliteMounts
from hotfolder.beneath import fingerprint_of
from hotfolder.core.errors import LocalError, SourceChanged
from hotfolder.core.naming import aside_name, clash_name
from hotfolder.core.records import Disposition
from hotfolder.core.recovery import Found
from tests.support.descriptors import open_below
from tests.support.folders import Folders, MeddledFinisher, old_file_system
from tests.support.samples import fingerprint_at
from tests.support.unprivileged import permissions_hold


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_a_file_moves_to_its_place_and_stays_the_same_file(folders: Folders) -> None:
    path = folders.drop("clip.mp4")
    before = fingerprint_at(path)
    finisher = folders.finisher()
    moved_to = finisher.move(folders.proven("clip.mp4"))
    finisher.sync()
    assert moved_to == str(folders.completed / "clip.mp4")
    assert before.survived_move(fingerprint_at(moved_to))
    assert folders.files() == {"completed/clip.mp4": b"data"}


def test_the_tree_of_the_inbox_is_made_anew_and_the_inbox_keeps_its_own(folders: Folders) -> None:
    folders.drop("reels/june/1/clip.mp4")
    finisher = folders.finisher()
    finisher.move(folders.proven("reels/june/1/clip.mp4"))
    finisher.sync()
    assert folders.files() == {"completed/reels/june/1/clip.mp4": b"data"}
    assert (folders.inbox / "reels/june/1").is_dir()
    assert (folders.completed / "reels").stat().st_mode & 0o777 == 0o755


def test_a_given_up_file_moves_to_failed(folders: Folders) -> None:
    folders.drop("reels/clip.mp4")
    moved_to = folders.finisher().move(folders.proven("reels/clip.mp4", disposition=Disposition.FAILED))
    assert moved_to == str(folders.failed / "reels/clip.mp4")
    assert folders.files() == {"failed/reels/clip.mp4": b"data"}


@pytest.mark.parametrize(
    "name", [b"with spaces ", b"-rf", b"new\nline", b"\xff\xfe", "🎬".encode(), b"x" * 255, b"a\\b"]
)
def test_odd_names_move_as_they_are(folders: Folders, name: bytes) -> None:
    relpath = os.fsdecode(name)
    folders.drop(relpath)
    folders.finisher().move(folders.proven(relpath))
    assert os.listdir(os.fsencode(folders.completed)) == [name]
    assert os.listdir(folders.inbox) == []


# -- no clobbering -----------------------------------------------------------------------------


def test_a_taken_name_is_left_alone_and_the_file_gets_its_clash_name(folders: Folders) -> None:
    (folders.completed / "clip.mp4").write_bytes(b"of yesterday")
    folders.drop("clip.mp4", b"of today")
    row = folders.proven("clip.mp4")
    clash = clash_name("clip.mp4", row.operation_id)
    assert folders.finisher().move(row) == str(folders.completed / clash)
    assert folders.files() == {"completed/clip.mp4": b"of yesterday", f"completed/{clash}": b"of today"}


def test_the_longest_name_finds_a_clash_name_that_fits(folders: Folders) -> None:
    name = "x" * 255
    (folders.completed / name).write_bytes(b"of yesterday")
    folders.drop(name, b"of today")
    moved_to = folders.finisher().move(folders.proven(name))
    assert Path(moved_to).read_bytes() == b"of today"
    assert (folders.completed / name).read_bytes() == b"of yesterday"


@pytest.mark.parametrize("make", ["directory", "symlink", "dangling"])
def test_whatever_takes_the_name_is_left_alone(folders: Folders, make: str) -> None:
    taken = folders.completed / "clip.mp4"
    if make == "directory":
        taken.mkdir()
    else:
        taken.symlink_to(folders.root if make == "symlink" else "nowhere")
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    clash = clash_name("clip.mp4", row.operation_id)
    assert folders.finisher().move(row) == str(folders.completed / clash)
    assert taken.is_symlink() or taken.is_dir()
    assert (folders.completed / clash).read_bytes() == b"data"


def test_where_even_the_clash_name_is_taken_the_file_stays(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    for name in ("clip.mp4", clash_name("clip.mp4", row.operation_id)):
        (folders.completed / name).write_bytes(b"taken")
    with pytest.raises(LocalError, match="cannot move"):
        folders.finisher().move(row)
    assert (folders.inbox / "clip.mp4").read_bytes() == b"data"


def test_without_renameat2_a_hard_link_does_not_clobber_either(folders: Folders) -> None:
    (folders.completed / "clip.mp4").write_bytes(b"of yesterday")
    folders.drop("clip.mp4", b"of today")
    folders.drop("free.mp4", b"free")
    row = folders.proven("clip.mp4")
    with old_file_system():
        folders.finisher().move(folders.proven("free.mp4"))
        moved_to = folders.finisher().move(row)
    assert folders.files() == {
        "completed/clip.mp4": b"of yesterday",
        "completed/free.mp4": b"free",
        f"completed/{Path(moved_to).name}": b"of today",
    }
    assert os.stat(moved_to).st_nlink == 1


# -- only what was read ------------------------------------------------------------------------


def change(path: Path) -> None:
    path.write_bytes(b"other")


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def swap(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"data")
    os.replace(new, path)


def swap_for_a_link(path: Path) -> None:
    target = path.parent.parent / "secret"
    target.write_bytes(b"secret")
    path.unlink()
    path.symlink_to(target)


def swap_for_a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def swap_for_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"never proven")


def swap_for_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES = [
    *(change, touch, swap, swap_for_a_link, swap_for_a_dangling_link),
    *(swap_for_a_directory, swap_for_a_fifo),
]


def kind(path: Path) -> tuple[int, int]:
    """What stands there, by inode, whatever it is."""
    status = path.lstat()
    return status.st_ino, status.st_mode


@pytest.mark.parametrize("alter", CHANGES)
def test_what_changed_after_it_was_read_stays_in_the_inbox(
    folders: Folders, alter: Callable[[Path], None]
) -> None:
    path = folders.drop("reels/clip.mp4")
    row = folders.proven("reels/clip.mp4")
    alter(path)
    there = kind(path)
    with pytest.raises(SourceChanged):
        folders.finisher().move(row)
    assert kind(path) == there
    assert [p for p in folders.completed.rglob("*") if not p.is_dir()] == []


@pytest.mark.parametrize("alter", CHANGES)
def test_what_changed_between_check_and_rename_is_put_back(
    folders: Folders, alter: Callable[[Path], None]
) -> None:
    path = folders.drop("reels/clip.mp4")
    row = folders.proven("reels/clip.mp4")
    finisher = MeddledFinisher(folders, lambda: alter(path))
    with pytest.raises(SourceChanged):
        finisher.move(row)
    assert finisher.meddled
    assert os.path.lexists(path), "it must be back in the inbox"
    assert list((folders.completed / "reels").iterdir()) == []
    if alter is swap_for_a_directory:
        assert (path / "inside").read_bytes() == b"never proven"


def test_what_is_put_back_never_clobbers_what_came_meanwhile(folders: Folders) -> None:
    path = folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")

    class Busy(MeddledFinisher):
        """A third file takes the name as soon as the second was moved by mistake."""

        def _rename(self, *arguments: object) -> str:  # type: ignore[override]
            moved_as = super()._rename(*arguments)  # type: ignore[arg-type]
            path.write_bytes(b"third")
            return moved_as

    with pytest.raises(SourceChanged):
        Busy(folders, lambda: swap_content(path, b"second")).move(row)
    clash = clash_name("clip.mp4", row.operation_id)
    assert folders.files() == {"inbox/clip.mp4": b"third", f"inbox/{clash}": b"second"}


def test_names_that_somebody_took_beforehand_hold_nobody(folders: Folders) -> None:
    # Who sees an operation's id in the heartbeat can take both names that a file may be put back under.
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    clash = clash_name("clip.mp4", row.operation_id)

    def meddle() -> None:
        swap_content(folders.inbox / "clip.mp4", b"another")

    class Foreseen(MeddledFinisher):
        @staticmethod
        def _check_moved(*args: Any) -> None:
            for name in ("clip.mp4", clash):
                folders.drop(name, b"taken")
            Finisher._check_moved(*args)

    with pytest.raises(SourceChanged, match="put back"):
        Foreseen(folders, meddle).move(row)
    contents = sorted(folders.files().values())
    assert contents == [b"another", b"taken", b"taken"]
    assert list(folders.completed.iterdir()) == []


@pytest.mark.parametrize("kind_of", ["file", "directory", "dangling"])
def test_a_hidden_name_that_somebody_took_beforehand_holds_nobody(
    folders: Folders, kind_of: str
) -> None:
    path = folders.drop("clip.mp4")
    row = folders.proven("clip.mp4", disposition=Disposition.DELETE)
    aside = folders.inbox / aside_name("clip.mp4", row.operation_id)
    if kind_of == "file":
        aside.write_bytes(b"another")
    elif kind_of == "directory":
        aside.mkdir()
    else:
        aside.symlink_to("/nowhere")
    folders.drop(clash_name("clip.mp4", row.operation_id), b"taken")
    with pytest.raises(SourceChanged):
        folders.finisher().remove(row)
    assert path.read_bytes() == b"data"
    assert not os.path.lexists(aside), "it has a name now under which it can be seen"
    assert len(list(folders.inbox.iterdir())) == 3


@pytest.mark.parametrize("mode", [0o555, 0o666, 0])
@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED, Disposition.DELETE])
def test_a_folder_that_was_shut_meanwhile_is_the_trouble_of_its_files_alone(
    folders: Folders, disposition: Disposition, mode: int
) -> None:
    folders.drop("sub/clip.mp4")
    row = folders.proven("sub/clip.mp4", disposition=disposition)
    act = folders.finisher().remove if disposition is Disposition.DELETE else folders.finisher().move
    (folders.inbox / "sub").chmod(mode)
    with permissions_hold(), pytest.raises(SourceChanged, match=r"this user may not .* sub/"):
        act(row)
    (folders.inbox / "sub").chmod(0o755)
    act(row)
    assert not (folders.inbox / "sub/clip.mp4").exists()


@pytest.mark.parametrize("shut", ["inbox", "completed"])
def test_a_root_that_is_shut_is_trouble_of_the_disk(folders: Folders, shut: str) -> None:
    folders.drop("sub/clip.mp4")
    row = folders.proven("sub/clip.mp4")
    root = folders.root / shut
    for place in {root, root / "sub"} & {folders.completed, folders.inbox, folders.inbox / "sub"}:
        place.chmod(0o555)
    with permissions_hold(), pytest.raises(LocalError, match="cannot move"):
        folders.finisher().move(row)
    for place in (folders.completed, folders.inbox, folders.inbox / "sub"):
        place.chmod(0o755)
    assert (folders.inbox / "sub/clip.mp4").read_bytes() == b"data"


def swap_content(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def test_a_file_that_is_gone_is_no_fault_of_the_disk(folders: Folders) -> None:
    path = folders.drop("reels/clip.mp4")
    row = folders.proven("reels/clip.mp4")
    path.unlink()
    with pytest.raises(SourceChanged, match="gone"):
        folders.finisher().move(row)
    path.parent.rmdir()
    with pytest.raises(SourceChanged, match="gone"):
        folders.finisher().move(row)


@pytest.mark.parametrize("side", ["inbox", "completed"])
def test_no_symlinked_directory_leads_out_of_a_folder(folders: Folders, side: str) -> None:
    folders.drop("reels/clip.mp4")
    row = folders.proven("reels/clip.mp4")
    outside = folders.root / "outside"
    if side == "inbox":
        (folders.inbox / "reels").rename(outside)
        (folders.inbox / "reels").symlink_to(outside)
    else:
        outside.mkdir()
        (folders.completed / "reels").symlink_to(outside)
    if side == "inbox":
        with pytest.raises((SourceChanged, LocalError)):
            folders.finisher().move(row)
        assert folders.files() == {"outside/clip.mp4": b"data"}
    else:
        folders.finisher().move(row)
        assert folders.files() == {"completed/reels~folder/clip.mp4": b"data"}


@pytest.mark.parametrize("relpath", ["../secret", "reels/../../secret", "..", "reels/.."])
def test_no_name_leads_out_of_a_folder(folders: Folders, relpath: str) -> None:
    folders.drop("reels/clip.mp4")
    (folders.root / "secret").write_bytes(b"secret")
    honest = folders.proven("reels/clip.mp4")
    secret = fingerprint_at(folders.root / "secret")
    before = folders.files()
    with pytest.raises((SourceChanged, LocalError)):
        folders.finisher().move(replace(honest, relpath=relpath, fingerprint=secret))
    with pytest.raises((SourceChanged, LocalError)):
        folders.finisher().move(replace(honest, target=relpath))
    assert folders.files() == before


# -- trouble with the target -------------------------------------------------------------------


def test_a_missing_target_is_trouble_of_the_disk_and_passes(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    folders.completed.rmdir()
    with pytest.raises(LocalError) as caught:
        folders.finisher().move(row)
    assert caught.value.hint
    assert folders.files() == {"inbox/clip.mp4": b"data"}
    folders.completed.mkdir()
    folders.finisher().move(row)
    assert folders.files() == {"completed/clip.mp4": b"data"}


def test_a_place_that_is_blocked_twice_is_trouble_of_the_disk(folders: Folders) -> None:
    folders.drop("reels/clip.mp4")
    for name in ("reels", "reels~folder"):
        (folders.completed / name).write_bytes(b"a file")
    with pytest.raises(LocalError):
        folders.finisher().move(folders.proven("reels/clip.mp4"))
    assert (folders.inbox / "reels/clip.mp4").exists()


@pytest.mark.parametrize("side", ["inbox", "completed"])
@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_a_folder_that_goes_between_move_and_sync_does_not_hold_all_others(
    folders: Folders, side: str, how: str
) -> None:
    # People and cleaners tidy up at any moment; a sync that fails for ever would hold every file.
    folders.drop("reels/clip.mp4")
    finisher = folders.finisher()
    finisher.move(folders.proven("reels/clip.mp4"))
    gone = folders.root / side / "reels"
    if how == "renamed":
        gone.rename(gone.with_name("away"))
    else:
        shutil.rmtree(gone)
    finisher.sync()
    finisher.sync()


@pytest.mark.parametrize("blocker", ["file", "symlink"])
def test_a_file_that_stands_where_a_folder_must_be_is_gone_round(folders: Folders, blocker: str) -> None:
    # `reel` came as a file; on another day a folder of that name comes.
    (folders.completed / "june").mkdir()
    blocked = folders.completed / "june/reel"
    if blocker == "file":
        blocked.write_bytes(b"old")
    else:
        blocked.symlink_to(folders.root)
    finisher = folders.finisher()
    for number, name in enumerate(("1.mp4", "2.mp4"), start=1):
        folders.drop(f"june/reel/day/{name}")
        row = folders.proven(f"june/reel/day/{name}", number=number)
        moved_to = finisher.move(row)
        assert moved_to == str(folders.completed / "june/reel~folder/day" / name)
        assert finisher.find(row).moved_to == moved_to
    finisher.sync()
    assert blocked.is_symlink() or blocked.read_bytes() == b"old"
    assert not list(folders.inbox.rglob("*.mp4"))


def test_a_file_deeper_than_any_path_may_be_long_holds_no_other(folders: Folders) -> None:
    # PATH_MAX bounds what one call may name, not how deep a tree can be made step by step.
    steps = ["d" * 200] * 25
    descriptor = os.open(folders.inbox, os.O_RDONLY)
    for step in steps:
        os.mkdir(step, dir_fd=descriptor)
        below = os.open(step, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    with open(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor), "wb") as file:
        file.write(b"data")
    status = os.stat("deep", dir_fd=descriptor)
    os.close(descriptor)
    folders.drop("other")
    finisher = folders.finisher()
    deep = folders.proven("other")
    finisher.move(
        replace(
            deep,
            relpath="/".join([*steps, "deep"]),
            target="/".join([*steps, "deep"]),
            fingerprint=fingerprint_of(status),
        )
    )
    finisher.sync()
    assert not finisher._unsynced.owed


def test_a_sync_that_the_disk_refuses_is_told_and_tried_again(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.drop("reels/clip.mp4")
    finisher = folders.finisher()
    finisher.move(folders.proven("reels/clip.mp4"))
    refused: list[int] = []

    def refuse(descriptor: int) -> None:
        refused.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", refuse)
        with pytest.raises(LocalError, match="sync"):
            finisher.sync()
    assert finisher._unsynced.owed, "it is still owed"
    for descriptor in refused:  # it would report success for what is lost
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    finisher.sync()
    assert not finisher._unsynced.owed


# -- many files of one batch -------------------------------------------------------------------


def test_each_directory_of_a_batch_is_entered_and_synced_once(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    relpaths = [f"reels/{number}.mp4" for number in range(20)]
    for relpath in relpaths:
        folders.drop(relpath)
    rows = [folders.proven(relpath, number=number) for number, relpath in enumerate(relpaths, 1)]
    finisher = folders.finisher()
    finisher.move(rows[0])  # makes the folder in completed/
    finisher.sync()
    entered, synced = counted(monkeypatch, "open"), counted(monkeypatch, "fsync")
    for row in rows[1:]:
        finisher.move(row)
    finisher.sync()
    assert len(entered) == 4  # two roots, and a folder in each
    assert len(synced) == 2


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    real, calls = getattr(os, name), []

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, call)
    return calls


def test_a_batch_from_more_folders_than_are_kept_open(folders: Folders) -> None:
    relpaths = [f"{number}/clip.mp4" for number in range(100)]
    for relpath in relpaths:
        folders.drop(relpath)
    finisher = folders.finisher()
    for number, relpath in enumerate(relpaths):
        finisher.move(folders.proven(relpath, number=number))
    assert 1 <= len(open_below(folders.root)) <= 66
    finisher.sync()
    assert open_below(folders.root) == []
    assert folders.files() == {f"completed/{relpath}": b"data" for relpath in relpaths}


def test_a_target_folder_that_goes_in_the_middle_of_a_batch_is_made_anew(folders: Folders) -> None:
    for number in range(3):
        folders.drop(f"reels/{number}.mp4")
    rows = [folders.proven(f"reels/{number}.mp4", number=number) for number in range(3)]
    finisher = folders.finisher()
    finisher.move(rows[0])
    shutil.rmtree(folders.completed / "reels")
    with pytest.raises(LocalError, match="cannot move"):  # it waits, and is tried again
        finisher.move(rows[1])
    finisher.move(rows[2])
    finisher.move(rows[1])
    finisher.sync()
    assert folders.files() == {"completed/reels/1.mp4": b"data", "completed/reels/2.mp4": b"data"}


def test_a_name_that_clashes_in_a_batch_goes_round_as_ever(folders: Folders) -> None:
    (folders.completed / "reels").mkdir()
    (folders.completed / "reels/1.mp4").write_bytes(b"somebody's")
    for number in range(2):
        folders.drop(f"reels/{number}.mp4")
    rows = [folders.proven(f"reels/{number}.mp4", number=number) for number in range(2)]
    finisher = folders.finisher()
    moved = [finisher.move(row) for row in rows]
    finisher.sync()
    assert moved[1] == str(folders.completed / "reels" / clash_name("1.mp4", rows[1].operation_id))
    assert (folders.completed / "reels/1.mp4").read_bytes() == b"somebody's"


# -- finding after a crash ---------------------------------------------------------------------


def test_before_the_move_the_source_is_found(folders: Folders) -> None:
    folders.drop("reels/clip.mp4")
    row = folders.proven("reels/clip.mp4")
    found = folders.finisher().find(row)
    assert (found.source, found.moved_to) == (row.fingerprint, None)


@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED])
@pytest.mark.parametrize("clash", [False, True])
def test_after_the_move_the_target_is_found(
    folders: Folders, disposition: Disposition, clash: bool
) -> None:
    root = folders.failed if disposition is Disposition.FAILED else folders.completed
    if clash:
        (root / "reels").mkdir()
        (root / "reels/clip.mp4").write_bytes(b"data")
    folders.drop("reels/clip.mp4")
    row = folders.proven("reels/clip.mp4", disposition=disposition)
    moved_to = folders.finisher().move(row)
    found = folders.finisher().find(row)
    assert (found.source, found.moved_to) == (None, moved_to)


def test_a_stranger_in_the_target_is_not_taken_for_the_file(folders: Folders) -> None:
    path = folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    shutil.copy2(path, folders.completed / "clip.mp4")
    assert folders.finisher().find(row).moved_to is None


def test_a_new_file_in_the_inbox_is_found_beside_the_moved_one(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    moved_to = folders.finisher().move(row)
    new = folders.drop("clip.mp4", b"new")
    found = folders.finisher().find(row)
    assert (found.source, found.moved_to) == (fingerprint_at(new), moved_to)


def test_where_the_inbox_is_not_there_nothing_is_said_of_its_files(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    shutil.rmtree(folders.inbox)
    with pytest.raises(LocalError) as caught:
        folders.finisher().find(row)
    assert caught.value.hint
    with pytest.raises(LocalError):
        folders.finisher().move(row)


def test_a_volume_that_was_mounted_under_a_new_number_is_still_the_same(folders: Folders) -> None:
    for name in ("a", "b"):
        folders.drop(name)
    finisher = folders.finisher()
    moved_to = finisher.move(folders.proven("a"))
    seen = replace(fingerprint_at(moved_to), device=1)
    moved = replace(folders.proven("b"), relpath="a", target="a", fingerprint=seen)
    assert finisher.find(moved).moved_to == moved_to
    waiting = folders.proven("b")
    waiting = replace(waiting, fingerprint=replace(waiting.fingerprint, device=1))
    assert finisher.find(waiting).source == waiting.fingerprint


def test_a_target_that_was_a_mount_point_in_a_former_run_waits_for_its_volume(
    folders: Folders, tmp_path: Path
) -> None:
    folders.drop("clip.mp4")
    root = str(folders.completed)
    with SqliteMounts(tmp_path / "state.db") as former:
        former.remember(root)
    with SqliteMounts(tmp_path / "state.db") as mounts:
        finisher = Finisher({"media": folders.roots}, mounts)
        with pytest.raises(LocalError, match="not mounted any more"):
            finisher.move(folders.proven("clip.mp4"))
        assert (folders.inbox / "clip.mp4").exists()
        (folders.completed / "keep").touch()  # a plain folder by now
        assert finisher.move(folders.proven("clip.mp4")) == f"{root}/clip.mp4"


def test_a_row_of_another_inbox_is_not_taken_for_lost(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    (folders.inbox / "clip.mp4").unlink()
    row = replace(row, entry={**row.entry, "target_path": "/former/clip.mp4"})
    with pytest.raises(LocalError, match=r"/former/clip\.mp4"):
        folders.finisher().find(row)


def test_a_deleted_file_is_told_of_though_its_volume_came_back_as_another_device(
    folders: Folders, tmp_path: Path
) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    row = replace(
        row,
        disposition=Disposition.DELETE,
        fingerprint=replace(row.fingerprint, device=1),
    )
    (folders.inbox / "clip.mp4").unlink()
    assert folders.finisher().find(row) == Found(None, None)
    with SqliteMounts(tmp_path / "state.db") as mounts:
        mounts.remember(os.path.realpath(folders.inbox))  # and is no mount point now
        with pytest.raises(LocalError, match="another volume"):
            Finisher({"media": folders.roots}, mounts).find(row)


def test_on_another_volume_an_absent_file_is_not_taken_for_gone(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = folders.proven("clip.mp4")
    (folders.inbox / "clip.mp4").unlink()
    finisher = folders.finisher()
    assert finisher.find(row).source is None
    with pytest.raises(LocalError, match="another volume"):
        finisher.find(replace(row, fingerprint=replace(row.fingerprint, device=1)))


def test_a_folder_that_is_no_longer_configured_is_named(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = replace(folders.proven("clip.mp4"), folder="renamed")
    for act in (folders.finisher().find, folders.finisher().move):
        with pytest.raises(LocalError, match="renamed"):
            act(row)
