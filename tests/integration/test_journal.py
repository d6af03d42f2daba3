"""The journal's SQLite file: restarts, kills, threads, damage."""

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hotfolder.adapters.state.journal import SqliteJournal
from hotfolder.adapters.state.profiles import SqliteProfiles
from hotfolder.adapters.state.schema import SCHEMA_VERSION
from hotfolder.core.errors import LocalError
from hotfolder.core.profile import Profile, Seen
from hotfolder.core.records import Disposition, Fingerprint, JournalRow
from tests.support.small_disk import small_disk

__all__ = ["small_disk"]


def row(operation_id: str, text: str = "") -> JournalRow:
    return JournalRow(
        operation_id=operation_id,
        folder="media",
        relpath="clip\udcff.mp4",
        fingerprint=Fingerprint(1, 2, 3, 4, 5),
        disposition=Disposition.FAILED,
        target="clip~1\udcff.mp4",
        entry={"operation_id": operation_id, "text": text},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_a_restart_finds_the_rows(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.commit([row("a"), row("b")])
        journal.commit([row("c")], forget=["a"])
    with SqliteJournal(path) as journal:
        assert journal.rows() == [row("b"), row("c")]


def test_a_closed_journal_is_one_file_and_opens_anew(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.commit([row("a")])
    journal.close()
    journal.close()
    assert os.listdir(path.parent) == ["state.db"]
    assert journal.rows() == [row("a")]
    journal.close()


def test_the_file_is_closed_to_strangers(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.commit([row("a")])
        for name in ("state.db", "state.db-wal"):
            assert stat.S_IMODE((path.parent / name).stat().st_mode) & 0o037 == 0


def test_every_commit_of_rows_is_synced_through_a_write_ahead_log(path: Path) -> None:
    with SqliteJournal(path) as journal, closing(sqlite3.connect(path)) as other:
        journal.commit([row("a")])
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_file_of_the_version_before_gets_the_tables_that_it_lacks(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.commit([row("a")])
    with closing(sqlite3.connect(path)) as former:
        former.execute("DROP TABLE profiles")
        former.execute("PRAGMA user_version = 3")
    with SqliteProfiles(path) as profiles, SqliteJournal(path) as journal:
        profiles.keep("store", Seen(Profile(put_names=True), 5.0))
        assert profiles.all()["store"].profile.put_names is True
        assert journal.rows() == [row("a")]


KILLED = textwrap.dedent("""
    import os, signal, sys
    from hotfolder.adapters.state.journal import SqliteJournal
    from hotfolder.core.records import Disposition, Fingerprint, JournalRow

    journal = SqliteJournal(sys.argv[1])
    for name in "abc":
        journal.commit([JournalRow(name, "media", name, Fingerprint(1, 2, 3, 4, 5),
                                   Disposition.COMPLETED, name, {})])
    os.kill(os.getpid(), signal.SIGKILL)
""")


def test_what_was_committed_before_a_kill_is_there(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -9
    with SqliteJournal(path) as journal:
        assert [found.operation_id for found in journal.rows()] == ["a", "b", "c"]


def test_another_process_does_not_remove_the_log_below_two_connections(path: Path) -> None:
    """Closing any descriptor of the file drops this process's locks on it: none may be opened."""
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('VACUUM'); c.close()"
    with SqliteJournal(path) as first, SqliteJournal(path) as second:
        first.commit([row("a")])
        second.commit([row("b")])
        subprocess.run([sys.executable, "-c", script, str(path)], check=True)
        first.commit([row("c")])
        with SqliteJournal(path) as third:
            assert [row.operation_id for row in third.rows()] == ["a", "b", "c"]


def test_one_worker_thread_may_own_it(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.commit([row("a")])
    with ThreadPoolExecutor(1) as worker:
        worker.submit(journal.commit, [row("b")]).result()
        assert worker.submit(journal.rows).result() == [row("a"), row("b")]
    journal.close()


@pytest.mark.parametrize(
    "content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_damaged_file_says_that_deleting_it_loses_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LocalError, match=r"state\.db") as caught:
        SqliteJournal(path).rows()
    assert "delete it" in caught.value.hint
    path.unlink()
    with SqliteJournal(path) as journal:
        assert journal.rows() == []


def test_a_damaged_row_says_that_deleting_it_loses_nothing(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.commit([row("a")])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE operations SET disposition = 'elsewhere'")
        with pytest.raises(LocalError, match="elsewhere") as caught:
            journal.rows()
    assert "delete it" in caught.value.hint


def test_the_file_of_a_newer_hotfolder_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(LocalError, match="version") as caught:
        SqliteJournal(path).commit([row("a")])
    assert "newer" in caught.value.hint
    assert path.read_bytes() == before


def test_a_missing_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"gone/state\.db") as caught:
        SqliteJournal(tmp_path / "gone" / "state.db").rows()
    assert "mounted" in caught.value.hint


def test_a_full_disk_holds_all_or_nothing_and_passes(small_disk: Path) -> None:
    with SqliteJournal(small_disk / "state.db") as journal:
        journal.commit([row("a")])
        with pytest.raises(LocalError) as caught:
            journal.commit([row("b"), row("c", "x" * 2_000_000)], forget=["a"])
        assert "free space" in caught.value.hint
        assert journal.rows() == [row("a")]
        journal.commit([row("d")])
        assert journal.rows() == [row("a"), row("d")]


def test_a_row_that_is_no_json_changes_nothing(path: Path) -> None:
    with SqliteJournal(path) as journal:
        journal.commit([row("a")])
        wrong = JournalRow(
            "b", "f", "r", Fingerprint(1, 2, 3, 4, 5), Disposition.LEAVE, "t", {"x": object()}
        )
        with pytest.raises(TypeError):
            journal.commit([wrong], forget=["a"])
        assert journal.rows() == [row("a")]


def test_a_batch_takes_few_steps(path: Path) -> None:
    """Each lets go of the interpreter, and waits for it behind the busy event loop."""
    steps: list[str] = []
    with SqliteJournal(path) as journal:
        journal.commit([row("first")])
        with journal._db.connection() as connection:
            connection.set_trace_callback(steps.append)
        names = [f"{number:03}" for number in range(99)]
        journal.commit([row(name) for name in names], forget=["first"])
        assert len(steps) < 20
        assert [each.operation_id for each in journal.rows()] == names
        steps.clear()
        journal.commit([], forget=names)
        assert len(steps) < 40
        assert journal.rows() == []
