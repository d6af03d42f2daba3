"""A directory that is a link to somewhere else at every other moment: nothing leads out of the folders.

Somebody who may write into an inbox exchanges one of its directories with a link, as fast as the kernel
does it, while every step of a journey is taken in it. Outside stand the same names, with other bytes.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.finishing import hand_back, tidy
from hotfolder.adapters.scan import walk
from hotfolder.adapters.source import open_original
from hotfolder.beneath import digest_of, look, look_at_all
from hotfolder.core.errors import HotfolderError
from hotfolder.core.records import Disposition
from tests.support.folders import Folders
from tests.support.samples import job_at, row

SECRET, OURS = b"of somebody else", b"dropped"
TURNS = 400

_EXCHANGE = 2  # linux/fs.h: RENAME_EXCHANGE
_libc = ctypes.CDLL(None, use_errno=True)


class Swapper:
    """Exchanges `place` with a link to `outside`, again and again, until it is left."""

    def __init__(self, place: Path, outside: Path) -> None:
        self._place, self._spare = os.fsencode(place), os.fsencode(f"{place}-spare")
        os.symlink(outside, self._spare)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._swap)
        self.swaps = 0

    def _swap(self) -> None:
        while not self._over.is_set() or self.swaps % 2:
            done = _libc.renameat2(-100, self._place, -100, self._spare, ctypes.c_uint(_EXCHANGE))
            assert done == 0, os.strerror(ctypes.get_errno())
            self.swaps += 1

    def __enter__(self) -> "Swapper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        os.unlink(self._spare)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Looked at again in the end: nothing came, went or changed."""
    place = tmp_path / "outside"
    (place / "below").mkdir(parents=True)
    (place / "empty").mkdir()
    for relpath in ("clip.mp4", "below/clip.mp4"):
        (place / relpath).write_bytes(SECRET)
    before = {path: os.lstat(path) for path in (place, *place.rglob("*"))}
    yield place
    after = {path: os.lstat(path) for path in (place, *place.rglob("*"))}
    assert set(after) == set(before)
    for path, status in after.items():
        assert (status.st_ino, status.st_mtime_ns, status.st_ctime_ns) == (
            before[path].st_ino,
            before[path].st_mtime_ns,
            before[path].st_ctime_ns,
        )


def turns(swapper: Swapper, step: Callable[[], object]) -> None:
    """Take a step again and again while the directory changes; what it cannot do it says."""
    with swapper:
        taken = 0
        while taken < TURNS or swapper.swaps < TURNS:
            taken += 1
            with contextlib.suppress(HotfolderError):
                step()


def test_nothing_outside_is_found_looked_at_or_read(folders: Folders, outside: Path) -> None:
    relpath = "sub/below/clip.mp4"
    folders.drop(relpath, OURS)
    job = job_at(folders.inbox, relpath)
    there = job_at(outside, "below/clip.mp4").fingerprint
    inbox, foreign = str(folders.inbox), digest_of(str(outside), "below/clip.mp4")

    def step() -> None:
        assert set(walk(inbox, "sub/below", lambda _: False)) <= {relpath}
        assert look(inbox, relpath) in (None, job.fingerprint)
        assert all(seen in (None, job.fingerprint) for _, seen in look_at_all(inbox, [relpath]))
        assert digest_of(inbox, relpath) != foreign
        # Even of a file that is just as the one outside, only ours would be opened.
        for known in (job, replace(job, fingerprint=there)):
            with contextlib.suppress(HotfolderError):
                original = open_original(known)
                try:
                    assert original.read(0, original.size) == OURS
                finally:
                    original.close()

    turns(Swapper(folders.inbox / "sub", outside), step)


@pytest.mark.parametrize("disposition", [Disposition.COMPLETED, Disposition.FAILED, Disposition.DELETE])
def test_nothing_outside_is_moved_or_removed(
    folders: Folders, outside: Path, disposition: Disposition
) -> None:
    folders.drop("sub/keep", OURS)
    # As if the file outside had been proven: even then it is not ours to move.
    proven = row(job_at(outside, "clip.mp4"), disposition=disposition)
    proven = replace(proven, root="", relpath="sub/clip.mp4", target="sub/clip.mp4")
    finisher = folders.finisher()

    def step() -> None:
        if disposition is Disposition.DELETE:
            finisher.remove(proven)
        else:
            finisher.move(proven)

    turns(Swapper(folders.inbox / "sub", outside), step)
    assert SECRET not in [data for path, data in folders.files().items() if "outside" not in path]


def test_nothing_is_moved_to_the_outside(folders: Folders, outside: Path) -> None:
    (folders.completed / "sub").mkdir()
    finisher = folders.finisher()
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        folders.drop(f"sub/clip{count}.mp4", OURS)
        finisher.move(folders.proven(f"sub/clip{count}.mp4", number=count))
        finisher.sync()

    turns(Swapper(folders.completed / "sub", outside), step)
    assert list(folders.files().values()).count(OURS) == count


def test_nothing_is_handed_back_from_or_to_the_outside(folders: Folders, outside: Path) -> None:
    folders.drop("sub/keep", OURS)
    (folders.failed / "sub").mkdir()
    secret = os.stat(outside / "clip.mp4")

    def step() -> None:
        hand_back(
            str(folders.failed),
            "sub/clip.mp4",
            str(folders.inbox),
            "got",
            size=secret.st_size,
            mtime_ns=secret.st_mtime_ns,
        )

    turns(Swapper(folders.failed / "sub", outside), step)
    assert not (folders.inbox / "got").exists()

    def back() -> None:
        failed = folders.failed / "a"
        failed.write_bytes(OURS)
        seen = failed.stat()
        hand_back(
            str(folders.failed),
            "a",
            str(folders.inbox),
            "sub/a",
            size=seen.st_size,
            mtime_ns=seen.st_mtime_ns,
        )

    turns(Swapper(folders.inbox / "sub", outside), back)


def test_no_folder_outside_is_tidied_away(folders: Folders, outside: Path) -> None:
    (folders.inbox / "sub").mkdir()
    seen = tidy(str(outside), [("empty", None)])["empty"]
    assert not isinstance(seen, bool)
    turns(
        Swapper(folders.inbox / "sub", outside),
        lambda: tidy(str(folders.inbox), [("sub/empty", seen)]),
    )
