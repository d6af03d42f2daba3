"""inotify: hints that something happened in an inbox. Hints may be lost; the scan is the truth."""

from collections.abc import Callable
from functools import partial

from hotfolder.adapters.watching.hints import Hints
from hotfolder.adapters.watching.listener import Listener
from hotfolder.core.errors import LocalError
from hotfolder.core.hints import Heard
from hotfolder.core.watching import Hearing

_SOON = 1.0  # seconds in which all but huge trees are watched


class Watcher:
    """Listens to one inbox with all that is below it. `wake` is called from its thread, at most once
    until the next `take`.
    """

    def __init__(self, root: str, wake: Callable[[], object]) -> None:
        self._root = root
        self._hints = Hints(wake)
        self._listener: Listener | None = None

    def start(self, deaf: frozenset[str] = frozenset()) -> None:
        """Begin to listen, but for the directories `deaf`. Raises `LocalError`.

        Blocks a moment: watches are set on all directories meanwhile, and beside what follows if there
        are very many.
        """
        try:
            self._listener = Listener(self._root, self._hints, deaf=deaf)
        except OSError as error:
            raise LocalError(
                f"cannot watch {self._root}: {error.strerror}",
                hint="raise the limits of inotify: `hotfolder check` says which, and how",
            ) from error
        self._listener.start()
        self._listener.surveyed.wait(_SOON)

    def stop(self) -> None:
        """End listening; harmless if it never began. Blocks a moment."""
        if self._listener is not None:
            self._listener.stop()

    def take(self) -> list[tuple[str, Heard]]:
        """The hints since the last call: path relative to the root, and what happened there."""
        return self._hints.take()

    def lost_some(self) -> bool:
        """Whether more happened since the last call than is kept, so that only a walk can tell."""
        return self._hints.lost_some()

    def hearing(self) -> Hearing:
        """What it says of itself."""
        return self._listener.hearing() if self._listener is not None else Hearing(dead="never started")

    def sing(self, number: int) -> None:
        """Let canary `number` sing: `hearing().answered` becomes `number` once its event arrived."""
        self._order(lambda listener: listener.sing(number))

    def replant(self, relpaths: list[str], deaf: frozenset[str]) -> None:
        """Other file systems are at `relpaths` now, or none; leave out what is `deaf`."""
        self._order(lambda listener: listener.plants.leave_out(deaf))
        for relpath in relpaths:
            self._order(partial(_replant, relpath))

    def retry(self) -> None:
        """Try once more to watch what could not be."""
        self._order(lambda listener: listener.plants.retry())

    def _order(self, work: Callable[[Listener], None]) -> None:
        if self._listener is not None:
            self._listener.order(partial(work, self._listener))


def _replant(relpath: str, listener: Listener) -> None:
    listener.plants.replant(relpath)
