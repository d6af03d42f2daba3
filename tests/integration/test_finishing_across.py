"""Moving originals to another file system, and removing them: only what was proven goes."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.finishing import Finisher, copying
from hotfolder.adapters.finishing.renaming import set_aside
from hotfolder.core.errors import AnotherFileSystem, LocalError, SourceChanged, SourceUnreadable
from hotfolder.core.naming import aside_name, clash_name, copy_name
from hotfolder.core.records import Disposition, JournalRow
from hotfolder.core.recovery import RemoveAndRecord, plan_row
from tests.support.folders import Folders, old_file_system, other_file_system
from tests.support.samples import fingerprint_at
from tests.support.small_disk import small_disk  # noqa: F401 - a fixture
from tests.support.unprivileged import permissions_hold

MIB = 1024 * 1024


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    with other_file_system(tmp_path) as elsewhere:
        yield Folders(tmp_path, elsewhere)


def proven(
    folders: Folders, relpath: str, disposition: Disposition = Disposition.COMPLETED
) -> JournalRow:
    """The row of a file with the checksum that it really has."""
    row = folders.proven(relpath, disposition=disposition)
    digest = hashlib.sha256((folders.inbox / relpath).read_bytes()).hexdigest()
    return replace(row, entry={**row.entry, "checksum_original": f"sha256:{digest}"})


def nothing(_: int) -> None:
    """Follows no progress."""


def copied(finisher: Finisher, row: JournalRow) -> JournalRow:
    with pytest.raises(AnotherFileSystem):
        finisher.move(row)
    return replace(row, copy=finisher.copy(row, nothing))


def finish(finisher: Finisher, row: JournalRow) -> str:
    """All steps of a move across, in their order."""
    row = copied(finisher, row)
    moved_to = finisher.move(row)
    finisher.sync()
    finisher.remove(row)
    finisher.sync()
    return moved_to


@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 4 * MIB + 1, 9 * MIB])
def test_a_file_goes_over_with_all_that_belongs_to_it(folders: Folders, size: int) -> None:
    data = os.urandom(size)
    path = folders.drop("reels/june/clip.mp4", data)
    path.chmod(0o6640)
    os.setxattr(path, "user.comment", b"of a Mac")
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    moved_to = Path(finish(folders.finisher(), proven(folders, "reels/june/clip.mp4")))
    assert moved_to == folders.completed / "reels/june/clip.mp4"
    assert folders.files() == {"completed/reels/june/clip.mp4": data}
    assert moved_to.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert moved_to.stat().st_mode & 0o7777 == 0o6640
    assert os.getxattr(moved_to, "user.comment") == b"of a Mac"
    assert (folders.inbox / "reels/june").is_dir()


def test_a_copy_that_stays_our_own_lends_nobody_our_rights(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An unprivileged daemon cannot give the file to whoever dropped it: setuid would be its own user.
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    folders.drop("tool").chmod(0o6755)
    moved_to = Path(finish(folders.finisher(), proven(folders, "tool")))
    assert moved_to.stat().st_mode & 0o7777 == 0o755


def test_holes_stay_holes_and_are_hashed_as_zeros(folders: Folders) -> None:
    path = folders.inbox / "sparse"
    with path.open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"middle")
        file.truncate(64 * MIB)
    moved_to = Path(finish(folders.finisher(), proven(folders, "sparse")))
    assert moved_to.stat().st_size == 64 * MIB
    assert moved_to.stat().st_blocks * 512 < MIB
    with moved_to.open("rb") as moved:
        moved.seek(3 * MIB)
        assert moved.read(6) == b"middle"


def test_a_file_that_was_given_up_has_no_checksum_and_goes_over_all_the_same(folders: Folders) -> None:
    folders.drop("clip.mp4", b"unloved")
    row = folders.proven("clip.mp4", disposition=Disposition.FAILED)
    assert row.entry["checksum_original"] is None
    finish(folders.finisher(), row)
    assert folders.files() == {"failed/clip.mp4": b"unloved"}


def test_a_taken_name_is_left_alone(folders: Folders) -> None:
    (folders.completed / "clip.mp4").write_bytes(b"of yesterday")
    folders.drop("clip.mp4", b"of today")
    row = proven(folders, "clip.mp4")
    clash = clash_name("clip.mp4", row.operation_id)
    assert finish(folders.finisher(), row) == str(folders.completed / clash)
    assert folders.files() == {"completed/clip.mp4": b"of yesterday", f"completed/{clash}": b"of today"}


def test_bytes_that_were_not_proven_are_not_moved(folders: Folders) -> None:
    folders.drop("clip.mp4", b"data")
    row = proven(folders, "clip.mp4")
    row = replace(row, entry={**row.entry, "checksum_original": "sha256:" + "0" * 64})
    with pytest.raises(SourceChanged, match="other bytes"):
        folders.finisher().copy(row, nothing)
    assert folders.files() == {"inbox/clip.mp4": b"data"}


def test_a_copy_that_reads_back_differently_is_thrown_away(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.drop("clip.mp4", b"data")
    monkeypatch.setattr(copying, "digest_on_disk", lambda *_: b"another")
    with pytest.raises(LocalError, match="reads back"):
        folders.finisher().copy(proven(folders, "clip.mp4"), nothing)
    assert folders.files() == {"inbox/clip.mp4": b"data"}


def test_a_file_that_grows_while_it_is_copied_stays(folders: Folders) -> None:
    path = folders.drop("clip.mp4", b"x" * 5 * MIB)

    def grow(_: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(SourceChanged):
        folders.finisher().copy(proven(folders, "clip.mp4"), grow)
    assert list(folders.files()) == ["inbox/clip.mp4"]


def test_a_copy_that_is_stopped_leaves_nothing_behind(folders: Folders) -> None:
    folders.drop("clip.mp4", b"data")

    def stop(_: int) -> None:
        raise LocalError("stopped")

    with pytest.raises(LocalError, match="stopped"):
        folders.finisher().copy(proven(folders, "clip.mp4"), stop)
    assert folders.files() == {"inbox/clip.mp4": b"data"}


def rewrite(path: Path) -> None:
    path.write_bytes(b"new!")


def swap(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(b"new!")
    new.replace(path)


def swap_for_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("alter", [rewrite, swap, swap_for_a_link])
@pytest.mark.parametrize("when", ["before the copy moves", "before the original goes", "as it goes"])
def test_what_came_meanwhile_is_never_removed(
    folders: Folders, alter: Callable[[Path], None], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folders.drop("clip.mp4", b"old!")
    finisher = folders.finisher()
    row = copied(finisher, proven(folders, "clip.mp4"))
    if when == "before the copy moves":
        alter(path)
        with pytest.raises(SourceChanged):
            finisher.move(row)
        finisher.clear(row)
        assert os.listdir(folders.completed) == []
    else:
        finisher.move(row)
        if when == "as it goes":  # between the look and the rename to the hidden name

            def late(directory: int, name: str, aside: str) -> None:
                alter(path)
                set_aside(directory, name, aside)

            monkeypatch.setattr("hotfolder.adapters.finishing.finisher.set_aside", late)
        else:
            alter(path)
        with pytest.raises(SourceChanged):
            finisher.remove(row)
        assert (folders.completed / "clip.mp4").read_bytes() == b"old!"
    assert os.listdir(folders.inbox) == ["clip.mp4"]
    assert path.is_symlink() or path.read_bytes() == b"new!"


@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.DELETE])
def test_a_file_that_is_open_for_writing_is_never_removed(
    folders: Folders, disposition: Disposition
) -> None:
    path = folders.drop("clip.mp4", b"data")
    finisher = folders.finisher()
    row = proven(folders, "clip.mp4", disposition)
    if disposition is Disposition.COMPLETED:
        row = copied(finisher, row)
        finisher.move(row)
    with path.open("r+b"), pytest.raises(SourceChanged):
        finisher.remove(row)
    assert path.read_bytes() == b"data"
    assert os.listdir(folders.inbox) == ["clip.mp4"]


def test_what_is_to_be_deleted_goes_and_nothing_else(folders: Folders) -> None:
    path = folders.drop("reels/clip.mp4", b"data")
    other = folders.drop("reels/other.mp4", b"other")
    finisher = folders.finisher()
    row = proven(folders, "reels/clip.mp4", Disposition.DELETE)
    finisher.remove(row)
    finisher.remove(row)
    finisher.sync()
    assert not path.exists()
    assert folders.files() == {"inbox/reels/other.mp4": b"other"}
    changed = proven(folders, "reels/other.mp4", Disposition.DELETE)
    other.chmod(0o600)
    with pytest.raises(SourceChanged):
        finisher.remove(changed)
    assert folders.files() == {"inbox/reels/other.mp4": b"other"}


def test_where_the_inbox_is_not_there_nothing_counts_as_removed(folders: Folders) -> None:
    folders.drop("clip.mp4")
    row = proven(folders, "clip.mp4", Disposition.DELETE)
    folders.inbox.rename(folders.inbox.with_name("unmounted"))
    with pytest.raises(LocalError):
        folders.finisher().remove(row)


def test_the_longest_name_is_put_aside_too(folders: Folders) -> None:
    name = "é" * 127 + "x"
    folders.drop(name, b"data")
    finish(folders.finisher(), proven(folders, name))
    assert folders.files() == {f"completed/{name}": b"data"}


def test_a_file_that_cannot_be_read_cannot_be_copied_and_says_so(folders: Folders) -> None:
    folders.drop("clip.mp4").chmod(0)
    row = folders.proven("clip.mp4", disposition=Disposition.FAILED)
    with permissions_hold(), pytest.raises(SourceUnreadable, match="may not be read"):
        folders.finisher().copy(row, nothing)
    assert os.listdir(folders.inbox) == ["clip.mp4"]


def test_where_not_even_hard_links_are_known_nothing_is_clobbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    folders = Folders(tmp_path)
    monkeypatch.setattr(os, "link", no_links)
    (folders.completed / "clip.mp4").write_bytes(b"of yesterday")
    folders.drop("clip.mp4", b"of today")
    folders.drop("free.mp4", b"free")
    row = proven(folders, "clip.mp4")
    with old_file_system():
        folders.finisher().move(proven(folders, "free.mp4"))
        moved_to = folders.finisher().move(row)
    assert folders.files() == {
        "completed/clip.mp4": b"of yesterday",
        "completed/free.mp4": b"free",
        f"completed/{Path(moved_to).name}": b"of today",
    }


# -- after a crash ----------------------------------------------------------------------------


def test_a_copy_is_found_by_its_inode_and_by_nothing_else(folders: Folders) -> None:
    path = folders.drop("clip.mp4", b"data")
    shutil.copy2(path, folders.completed / "clip.mp4")
    finisher = folders.finisher()
    row = copied(finisher, proven(folders, "clip.mp4"))
    assert finisher.find(row).moved_to is None
    moved_to = finisher.move(row)
    found = folders.finisher().find(row)
    assert (found.source, found.moved_to) == (row.fingerprint, moved_to)


def test_a_half_made_copy_of_a_killed_run_is_replaced_and_another_ones_left_alone(
    folders: Folders,
) -> None:
    folders.drop("reels/clip.mp4", b"data")
    row = proven(folders, "reels/clip.mp4")
    (folders.completed / "reels").mkdir()
    half = folders.completed / "reels" / copy_name(row.operation_id)
    half.write_bytes(b"da")
    other = folders.completed / "reels" / copy_name("0" * 36)
    other.write_bytes(b"of another operation")
    finish(folders.finisher(), row)
    assert not half.exists()
    half.write_bytes(b"da")
    folders.finisher().clear(row)
    assert sorted(os.listdir(folders.completed / "reels")) == sorted([other.name, "clip.mp4"])


def test_a_copy_that_somebody_cleared_away_is_made_anew(folders: Folders) -> None:
    folders.drop("clip.mp4", b"data")
    finisher = folders.finisher()
    row = copied(finisher, proven(folders, "clip.mp4"))
    (folders.completed / copy_name(row.operation_id)).unlink()
    with pytest.raises(AnotherFileSystem):
        finisher.move(row)


@pytest.mark.parametrize("name_taken", [False, True])
def test_an_original_that_was_put_aside_is_removed_if_its_copy_is_there(
    folders: Folders, name_taken: bool
) -> None:
    path = folders.drop("clip.mp4", b"data")
    finisher = folders.finisher()
    row = copied(finisher, proven(folders, "clip.mp4"))
    moved_to = finisher.move(row)
    path.rename(path.with_name(aside_name("clip.mp4", row.operation_id)))
    if name_taken:
        folders.drop("clip.mp4", b"new")
    found = finisher.find(row)
    assert plan_row(row, found, recorded=False) == RemoveAndRecord(row, moved_to)
    finisher.remove(row)
    assert os.listdir(folders.inbox) == (["clip.mp4"] if name_taken else [])
    assert (folders.completed / "clip.mp4").read_bytes() == b"data"


@pytest.mark.parametrize("name_taken", [False, True])
def test_an_original_that_was_put_aside_for_nothing_is_put_back(
    folders: Folders, name_taken: bool
) -> None:
    path = folders.drop("clip.mp4", b"data")
    finisher = folders.finisher()
    row = copied(finisher, proven(folders, "clip.mp4"))
    finisher.move(row)
    (folders.completed / "clip.mp4").unlink()  # by a person
    path.rename(path.with_name(aside_name("clip.mp4", row.operation_id)))
    if name_taken:
        folders.drop("clip.mp4", b"new")
    finisher.find(row)
    clash = clash_name("clip.mp4", row.operation_id)
    wanted = {"inbox/clip.mp4": b"new", f"inbox/{clash}": b"data"} if name_taken else None
    assert folders.files() == (wanted or {"inbox/clip.mp4": b"data"})


def test_where_the_volume_of_the_copies_is_gone_nothing_is_said(folders: Folders) -> None:
    folders.drop("clip.mp4", b"data")
    finisher = folders.finisher()
    row = copied(finisher, proven(folders, "clip.mp4"))
    finisher.move(row)
    finisher.remove(row)
    folders.completed.rename(folders.completed.with_name("unmounted"))
    with pytest.raises(LocalError):
        folders.finisher().find(row)


def test_killed_between_hard_link_and_unlink_the_old_name_goes(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    path = folders.drop("clip.mp4", b"data")
    row = proven(folders, "clip.mp4")
    with old_file_system():
        os.link(path, folders.completed / "clip.mp4")
        finisher = folders.finisher()
        step = plan_row(row, finisher.find(row), recorded=False)
        assert step == RemoveAndRecord(row, str(folders.completed / "clip.mp4"))
        finisher.remove(row)
    assert folders.files() == {"completed/clip.mp4": b"data"}


@pytest.mark.parametrize("old", [False, True])
def test_a_file_that_takes_the_name_during_a_removal_stays(folders: Folders, old: bool) -> None:
    path = folders.drop("clip.mp4", b"data")
    row = proven(folders, "clip.mp4", Disposition.DELETE)
    path.rename(path.with_name(aside_name("clip.mp4", row.operation_id)))
    folders.drop("clip.mp4", b"new")
    finisher = folders.finisher()
    if old:
        with old_file_system():
            finisher.remove(row)
    else:
        finisher.remove(row)
    assert folders.files() == {"inbox/clip.mp4": b"new"}


# -- trouble with the target -------------------------------------------------------------------


def test_a_disk_that_is_full_leaves_all_as_it_was(tmp_path: Path, small_disk: Path) -> None:  # noqa: F811
    folders = Folders(tmp_path, small_disk)
    folders.drop("clip.mp4", os.urandom(2 * MIB))
    row = proven(folders, "clip.mp4")
    finisher = folders.finisher()
    with pytest.raises(LocalError) as caught:
        finisher.copy(row, nothing)
    assert "free space" in caught.value.hint
    assert list(folders.files()) == ["inbox/clip.mp4"]
    assert fingerprint_at(folders.inbox / "clip.mp4") == row.fingerprint


def test_an_original_whose_volume_is_away_is_not_taken_for_gone(folders: Folders) -> None:
    """Its copy is finished and has no name yet: nobody removed the original."""
    folders.drop("clip.mp4")
    row = copied(folders.finisher(), proven(folders, "clip.mp4"))
    (folders.inbox / "clip.mp4").rename(folders.inbox.parent / "on the volume")
    away = replace(row, fingerprint=replace(row.fingerprint, device=1))
    with pytest.raises(LocalError, match="another volume"):
        folders.finisher().find(away)
    (folders.inbox.parent / "on the volume").rename(folders.inbox / "clip.mp4")
    assert folders.finisher().find(row).source is not None
