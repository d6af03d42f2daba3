"""Every error hotfolder decides on, and whom it belongs to.

The class says what to do next: hold the destination, hold the folder, settle again, try again, or
quarantine the file. `hint` is the sentence an operator reads after the message: what to do.
"""

from enum import StrEnum


class HotfolderError(Exception):
    """Base of all typed errors. `str(error)` says what happened; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def sentence(self) -> str:
        """Message and hint as one line for logs, the ledger and the terminal."""
        return f"{str(self).rstrip('.')}; {self.hint}" if self.hint else str(self)


class ConfigError(HotfolderError):
    """The configuration is absent or invalid (exit 78)."""


class AlreadyRunning(HotfolderError):
    """Another daemon holds the lock of this state folder (exit 75)."""


class DestinationTrouble(StrEnum):
    """Why the whole destination cannot take files now."""

    UNREACHABLE = "unreachable"
    DENIED = "denied"
    NO_BUCKET = "no-bucket"
    EXPIRED = "expired"
    THROTTLED = "throttled"


class DestinationError(HotfolderError):
    """The store cannot serve any file now: holds the destination, costs no file an attempt."""

    def __init__(
        self,
        trouble: DestinationTrouble,
        message: str,
        *,
        hint: str = "",
        may_be_one_keys: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """`may_be_one_keys`: a policy on one key, or what one body meets on its way, looks the same.
        `core.blame` tells which it is.

        `retry_after`: seconds that the store asked for.
        """
        super().__init__(message, hint=hint)
        self.trouble = trouble
        self.may_be_one_keys = may_be_one_keys
        self.retry_after = retry_after
        #: Seconds for which every try of one request was cut or stalled; None for other troubles.
        self.failing_for: float | None = None

    def is_not_the_files(self) -> None:
        """The same file got further just now: a line that comes and goes is no fault of its own."""
        self.may_be_one_keys, self.failing_for = False, None


class LocalError(HotfolderError):
    """The local disk or folder cannot serve now (full, gone, refused): costs no file an attempt."""


class DiskFull(LocalError):
    """A disk or a quota has no room: things go on by themselves once it has."""


class Exhausted(LocalError):
    """The process or the machine has no more of something (open files, memory): no path's own matter."""


class SourceChanged(HotfolderError):
    """The original changed, vanished or is being written: back to settling, costs no attempt."""


class AnotherFileSystem(HotfolderError):
    """No rename leads from the inbox to the target: the original has to be copied."""


class SourceUnreadable(HotfolderError):
    """The disk does not give this one original now: try again, bounded."""


class VerificationFailed(HotfolderError):
    """The store did not confirm our bytes, or packing did not reproduce them: try again, bounded."""


class ObjectRefused(HotfolderError):
    """The store refused this very object for a reason we cannot name better: try again, bounded."""


class FileRejected(HotfolderError):
    """This file can never be delivered as it is: quarantine at once."""


class KeyTaken(HotfolderError):
    """An object already stands under the key (If-None-Match answered 412)."""


class UploadLost(HotfolderError):
    """The store no longer knows the multipart upload (NoSuchUpload): start over."""


def without_traces(error: BaseException) -> None:
    """Drop the traces of an error that was decided on, and of all that led to it.

    They hold the frames that it went through, and these the bytes of the file, often in a circle: what
    failed would stand in memory beside the next try until somebody searches for garbage.
    """
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        rest += (each.__cause__, each.__context__)
        rest += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
