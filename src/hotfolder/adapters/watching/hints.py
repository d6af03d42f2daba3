"""What was heard and not taken yet: bounded, each path once, handed from one thread to another."""

import threading
from collections.abc import Callable

from hotfolder.core.hints import Heard, note

_MOST = 100_000  # more than this between two turns of the loop, and a walk is cheaper


class Hints:
    """Filled by the watching thread, emptied by the loop. `wake` is called once until a `take`."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._kept: dict[str, Heard] = {}
        self._is_awake = False
        self._lost = False

    def add(self, heard: dict[str, Heard]) -> None:
        """What happened at each path."""
        with self._lock:
            if len(self._kept) + len(heard) <= _MOST:
                for relpath, what in heard.items():
                    note(self._kept, relpath, what)
            else:
                self._lost = True
        self.stir()

    def stir(self) -> None:
        """Let the loop come, though there may be no path to tell."""
        with self._lock:
            is_awake, self._is_awake = self._is_awake, True
        if not is_awake:
            self._wake()

    def take(self) -> list[tuple[str, Heard]]:
        """All since the last call: path relative to the inbox, and what happened there."""
        with self._lock:
            kept, self._kept = self._kept, {}
            self._is_awake = False
        return list(kept.items())

    def lost_some(self) -> bool:
        """Whether more happened since the last call than is kept, so that only a walk can tell."""
        with self._lock:
            lost, self._lost = self._lost, False
        return lost
