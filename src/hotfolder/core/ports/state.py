"""What `state.db` remembers from run to run."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from hotfolder.core.profile import Seen
from hotfolder.core.records import (
    CalledOff,
    Fingerprint,
    JournalRow,
    SentPart,
    Staged,
    UploadNote,
)


class Journal(Protocol):
    """Operations decided but not yet recorded. Blocking; one owner at a time."""

    def commit(self, rows: Sequence[JournalRow], *, forget: Iterable[str] = ()) -> None:
        """Make `rows` durable and drop the operations `forget`: one transaction, one fsync.

        `forget` names rows whose ledger line is durable; losing that is harmless.
        """
        ...

    def rows(self) -> list[JournalRow]:
        """What a former run decided and did not finish, oldest first."""
        ...


class CallOffNotes(Protocol):
    """Files that somebody asked not to deliver. Blocking; one owner at a time."""

    def all(self) -> list[CalledOff]:
        """Of every folder, ordered by folder and path."""
        ...

    def add(self, called: CalledOff) -> None:
        """Durable when it returns; takes the place of an older note of the same file."""
        ...

    def drop(self, folder: str, relpath: str) -> None:
        """Unknown files are fine. A power cut may bring it back: it is dropped again then."""
        ...


class UploadNotes(Protocol):
    """Multipart uploads that were begun. Blocking; one owner at a time."""

    def all(self) -> list[UploadNote]:
        """What was begun and not forgotten."""
        ...

    def begin(self, note: UploadNote) -> None:
        """Durable when it returns: the store is asked for the upload only after it."""
        ...

    def name(self, operation_id: str, upload_id: str) -> None:
        """The store's answer. Survives a killed process; a power cut may take it back."""
        ...

    def add(self, operation_id: str, part: SentPart) -> None:
        """One more part that the store has; as durable as `name`."""
        ...

    def parts(self, operation_id: str) -> dict[int, SentPart]:
        """The parts that were noted, by number."""
        ...

    def forget(self, operation_id: str) -> None:
        """The upload is complete or aborted. Unknown ids are fine."""
        ...


class Kept(Protocol):
    """Delivered files that stay in their inboxes. Blocking; one owner at a time.

    The journal adds a file in one transaction with its row; a file is known as long as its fingerprint
    is the same, whatever number its device has.
    """

    def known(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> set[str]:
        """Which of these (path below the inbox, what stands there) were delivered as they are."""
        ...

    def add(self, folder: str, seen: Sequence[tuple[str, Fingerprint]]) -> None:
        """Keep these, durably; those that are kept already stay as they are."""
        ...

    def page(self, folder: str, after: str, count: int) -> list[tuple[str, Fingerprint]]:
        """The next `count` in the order of their paths, behind the path `after`."""
        ...

    def drop(self, folder: str, relpaths: Sequence[str]) -> None:
        """Forget these."""
        ...

    def count(self, folder: str) -> int: ...


class Chores(Protocol):
    """What is to be done once for a new `state.db`. Blocking; one owner at a time."""

    def begin(self, names: Sequence[str]) -> None:
        """If nothing was ever begun, `names` are to be done."""
        ...

    def state(self, name: str) -> bool | None:
        """True: done; False: to be done; None: never heard of."""
        ...

    def finish(self, name: str) -> None:
        """It is done, durably."""
        ...


class TidyingNotes(Protocol):
    """Folders below an inbox: those that were there first, and emptied ones. Blocking; one owner."""

    def add_standing(self, inbox: str, folders: Iterable[str]) -> None:
        """These were there first. Durable when it returns."""
        ...

    def standing(self, inbox: str, folders: Sequence[str]) -> set[str]:
        """Those of `folders` that were there first."""
        ...

    def emptied(self, inbox: str) -> list[str]:
        """Folders from which files were taken, and that were not tidied since."""
        ...

    def note_emptied(self, inbox: str, folders: Iterable[str], *, over: Iterable[str] = ()) -> None:
        """Files were taken from `folders`; of `over` nothing more is to be done. May be lost."""
        ...


class Profiles(Protocol):
    """What stores were seen to do, a cache. Blocking; one owner at a time.

    `key` names all that a store's doings may depend on.
    """

    def all(self) -> dict[str, Seen]:
        """Every profile that can be read, by its key."""
        ...

    def keep(self, key: str, seen: Seen) -> None:
        """In the place of an older one. A power cut may take it back."""
        ...


class StagedIndex(Protocol):
    """Which packed files stand in the spool. Blocking; one owner at a time."""

    def all(self) -> list[Staged]: ...

    def note(self, staged: Staged) -> None:
        """Durable when it returns. A row of a known operation id is replaced."""
        ...

    def forget(self, operation_ids: Iterable[str]) -> None:
        """A power cut may bring them back. Unknown ids are fine."""
        ...
