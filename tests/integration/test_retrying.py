"""Failed files, found in the ledger and put back into their inbox."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hotfolder import durable
from hotfolder.adapters.finishing import hand_back, rename_without_clobbering, returning
from hotfolder.core.control import Command, Request
from hotfolder.core.errors import LocalError
from hotfolder.core.marker import MarkerName, is_of_this_version
from hotfolder.retrying import Retrying, WayBack
from tests.support.folders import Folders
from tests.support.samples import fingerprint_at, operation_id


def line(path: Path, was: Path, *, number: int = 1, **other: object) -> dict[str, Any]:
    """The ledger's line of a file that failed."""
    seen = path.stat()
    return {
        "operation_id": operation_id(number),
        "status": "failed",
        "target_path": str(was),
        "target_name": was.name,
        "result_path": str(path),
        "folder": "box",
        "group": "reels",
        "original_size": seen.st_size,
        "modified_at_ns": seen.st_mtime_ns,
        **other,
    }


class Failed:
    """A folder with failed files, and what the ledger says of them."""

    def __init__(self, root: Path) -> None:
        self.folders = Folders(root)
        self.lines: list[dict[str, Any]] = []
        self.marked = False

    def fail(self, relpath: str, data: bytes = b"data", **other: object) -> Path:
        path = self.folders.failed / relpath
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        number = len(self.lines) + 1
        self.lines.append(line(path, self.folders.inbox / relpath, number=number, **other))
        return path

    def retry(self, wanted: str = "", group: str = "", *, everything: bool = False) -> dict[str, str]:
        """Path -> "" or the beginning of why it was not put back."""
        marker = MarkerName("{name}.done") if self.marked else None
        ways = {"box": WayBack(str(self.folders.inbox), str(self.folders.failed), marker)}
        retrying = Retrying(self.newest_first, hand_back, ways)
        done = retrying.run(Request(Command.RETRY, wanted, group, everything))
        return {Path(file.path).name: file.why or "" for file in done}

    def newest_first(self, _: list[bytes]) -> Iterator[Mapping[str, Any]]:
        return iter(reversed(self.lines))


@pytest.fixture
def failed(tmp_path: Path) -> Failed:
    return Failed(tmp_path)


@pytest.mark.parametrize(
    "ask",
    [
        lambda failed: failed.retry("a"),
        lambda failed: failed.retry("reels/a"),
        lambda failed: failed.retry(failed.lines[0]["operation_id"]),
        lambda failed: failed.retry(str(failed.folders.inbox / "reels/a")),
        lambda failed: failed.retry(str(failed.folders.failed / "reels/a")),
    ],
)
def test_one_is_put_back_where_it_was(failed: Failed, ask: Callable[[Failed], object]) -> None:
    failed.fail("reels/a", b"a")
    failed.fail("b", b"b")
    assert ask(failed) == {"a": ""}
    assert failed.folders.files() == {"inbox/reels/a": b"a", "failed/b": b"b"}
    assert failed.retry("a") == {}  # its line is there still, the file is not


def test_all_or_a_group_are_put_back(failed: Failed) -> None:
    failed.fail("a")
    failed.fail("b", group="logs")
    failed.fail("c", status="success")
    assert failed.retry(group="logs") == {"b": ""}
    assert failed.retry(everything=True) == {"a": ""}


def test_the_newest_line_of_a_place_counts(failed: Failed) -> None:
    failed.fail("a", b"first")
    failed.fail("a", b"second time")
    assert failed.retry(everything=True) == {"a": ""}
    assert failed.folders.files() == {"inbox/a": b"second time"}


def test_a_marker_comes_back_behind_its_file(failed: Failed) -> None:
    failed.marked = True
    for name in ("marked", "alone"):
        failed.fail(name)
    (failed.folders.failed / "marked.done").write_bytes(b"sum")
    assert failed.retry(everything=True) == {"marked": "", "alone": ""}
    assert failed.folders.files().keys() == {
        f"inbox/{name}" for name in ("marked", "marked.done", "alone")
    }
    assert is_of_this_version(
        fingerprint_at(failed.folders.inbox / "marked.done"),
        fingerprint_at(failed.folders.inbox / "marked"),
    )


def test_what_is_not_to_be_put_back_stays_with_a_reason(failed: Failed) -> None:
    failed.fail("taken")
    (failed.folders.inbox / "taken").write_bytes(b"newer")
    failed.fail("changed").write_bytes(b"another one")
    failed.fail("moved", target_path="/former/inbox/moved")
    failed.fail("foreign", folder="former")
    told = failed.retry(everything=True)
    assert set(told) == {"taken", "changed", "moved"}
    assert "is there already" in told["taken"]
    assert "is not the file that failed" in told["changed"]
    assert "by hand" in told["moved"]
    assert failed.folders.files() == {
        "inbox/taken": b"newer",
        "failed/taken": b"data",
        "failed/changed": b"another one",
        "failed/moved": b"data",
        "failed/foreign": b"data",
    }


def test_a_directory_is_put_back_as_one_if_it_is_the_one_that_failed(failed: Failed) -> None:
    for name in ("reels", "changed"):
        for part in ("a", "raw/b"):
            path = failed.folders.failed / name / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"data")
        place = failed.folders.failed / name
        was = failed.folders.inbox / name
        failed.lines.append(line(place, was, number=len(failed.lines) + 1, original_size=8))
    (failed.folders.failed / "changed" / "raw" / "b").write_bytes(b"other data")
    told = failed.retry(everything=True)
    assert told["reels"] == ""
    assert "was changed since" in told["changed"]
    assert set(failed.folders.files()) == {
        *("inbox/reels/a", "inbox/reels/raw/b"),
        *("failed/changed/a", "failed/changed/raw/b"),
    }


def test_no_link_leads_out_of_the_inbox(failed: Failed, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    failed.fail("reels/a")
    (failed.folders.inbox / "reels").symlink_to(outside)
    assert "cannot put back" in failed.retry("a")["a"]
    assert list(outside.iterdir()) == []
    (failed.folders.failed / "link").symlink_to(outside)
    with pytest.raises(LocalError, match="not the file"):
        hand_back(str(failed.folders.failed), "link", str(failed.folders.inbox), "l", size=0, mtime_ns=0)


def test_both_folders_are_durable_before_it_counts(
    failed: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename, sync = rename_without_clobbering, durable.sync_directory

    def noted_rename(*args: Any) -> None:
        rename(*args)
        done.append("rename")

    def noted_sync(directory: int, *, named: str) -> None:
        sync(directory, named=named)
        done.append(Path(named).name)

    failed.fail("a")
    monkeypatch.setattr(returning, "rename_without_clobbering", noted_rename)
    monkeypatch.setattr(durable, "sync_directory", noted_sync)
    assert failed.retry("a") == {"a": ""}
    assert done == ["rename", "inbox", "failed"]


def test_a_disk_that_refuses_is_named(failed: Failed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    failed.fail("a")
    monkeypatch.setattr(returning, "rename_without_clobbering", refuse)
    assert "read-only" in failed.retry("a")["a"].lower()
    assert failed.folders.files() == {"failed/a": b"data"}
