"""One daemon an inbox: who keeps it, who is told, and what happens when the folder goes."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotfolder.adapters.inbox_locks import InboxLocks, holder
from hotfolder.core.errors import AlreadyRunning


@contextmanager
def kept_by_another(path: Path) -> Iterator[None]:
    """To the kernel another descriptor is another holder, in this process or in any other."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def test_an_inbox_is_kept_once_and_let_go_at_the_end(tmp_path: Path) -> None:
    with InboxLocks() as locks:
        locks.take(str(tmp_path))
        locks.take(str(tmp_path))
        assert holder(str(tmp_path)) == os.getpid()
        with pytest.raises(BlockingIOError), kept_by_another(tmp_path):
            pass
    assert holder(str(tmp_path)) is None
    with kept_by_another(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_who_keeps_it_is_named_and_it_can_be_had_later(tmp_path: Path) -> None:
    with InboxLocks() as locks:
        with kept_by_another(tmp_path), pytest.raises(AlreadyRunning) as told:
            locks.take(str(tmp_path))
        assert str(tmp_path) in str(told.value)
        assert str(os.getpid()) in str(told.value)
        assert told.value.hint
        locks.take(str(tmp_path))
        assert holder(str(tmp_path)) == os.getpid()


def test_a_folder_that_was_remade_is_kept_anew_and_the_old_one_let_go(tmp_path: Path) -> None:
    inbox, old = tmp_path / "inbox", tmp_path / "old"
    inbox.mkdir()
    with InboxLocks() as locks:
        locks.take(str(inbox))
        inbox.rename(old)
        inbox.mkdir()
        locks.take(str(inbox))
        assert holder(str(inbox)) == os.getpid()
        with kept_by_another(old):
            pass


def test_an_absent_folder_is_nobodys(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with InboxLocks() as locks:
        locks.take(str(inbox))
        inbox.rename(tmp_path / "gone")
        locks.take(str(inbox))
        with kept_by_another(tmp_path / "gone"):
            pass
        locks.take(str(tmp_path / "never"))


def test_what_is_no_more_configured_is_let_go(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with InboxLocks() as locks:
        locks.take(str(one))
        locks.take(str(two))
        locks.keep_only({str(two)})
        assert (holder(str(one)), holder(str(two))) == (None, os.getpid())


def refusing(code: int) -> object:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    return flock


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_where_there_are_no_locks_it_goes_on_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(code))
    with InboxLocks() as locks, capture_logs() as told:
        locks.take(str(tmp_path))
        locks.take(str(tmp_path))
    assert [line["event"] for line in told] == ["inbox.unlockable"]


def test_a_disk_that_fails_is_no_absence_of_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.EIO))
    with InboxLocks() as locks, pytest.raises(AlreadyRunning, match="cannot be locked"):
        locks.take(str(tmp_path))


def test_without_descriptors_an_inbox_is_not_used_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with InboxLocks() as locks:
        with monkeypatch.context() as patched:
            patched.setattr("hotfolder.adapters.inbox_locks.os.open", none_left)
            with pytest.raises(AlreadyRunning, match="Too many open"):
                locks.take(str(tmp_path))
        locks.take(str(tmp_path))
        assert holder(str(tmp_path)) == os.getpid()


def test_an_unreadable_proc_names_nobody(tmp_path: Path) -> None:
    with (
        InboxLocks(locks=tmp_path / "absent") as locks,
        kept_by_another(tmp_path),
        pytest.raises(AlreadyRunning, match="unknown"),
    ):
        locks.take(str(tmp_path))
    assert holder(str(tmp_path), locks=tmp_path / "absent") is None


def test_a_lock_of_another_inode_or_kind_is_not_taken_for_it(tmp_path: Path) -> None:
    inode = os.stat(tmp_path).st_ino
    locks = tmp_path / "locks"
    locks.write_text(
        f"1: FLOCK  ADVISORY  WRITE 1 fe:00:{inode + 1} 0 EOF\n"
        f"1: POSIX  ADVISORY  WRITE 1 fe:00:{inode} 0 EOF\n"
        f"2: -> FLOCK  ADVISORY  WRITE 1 fe:00:{inode} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 999999999 ff:ff:{inode} 0 EOF\n"
    )
    assert holder(str(tmp_path), locks=locks) is None
