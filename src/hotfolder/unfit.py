"""Files of one inbox that are seen and not taken as they are, each with its reason."""

from collections.abc import Callable, Iterable

import structlog

from hotfolder.core.records import Fingerprint

log = structlog.get_logger()

_MOST_NOTED = 1_000  # files that are kept to be shown; the others are passed over all the same


class Unfit:
    """Owned by the event loop. `refusal(size)` says why a folder does not take a file of that size."""

    def __init__(self, inbox: str, refusal: Callable[[int], str | None]) -> None:
        self._inbox, self._refusal = inbox, refusal
        self.reasons: dict[str, str] = {}  # path below the inbox -> why; the first few
        self._stuck: set[str] = set()  # of these, what could not leave when it had settled

    def fit(self, relpath: str, seen: Fingerprint | None) -> Fingerprint | None:
        """What was seen, or None if it is to be left: every hint and walk looks at it anew."""
        why = None if seen is None else self._refusal(seen.size)
        if why is None:
            if seen is None or relpath not in self._stuck:
                self.forget([relpath])
            return seen
        self.note(relpath, why)
        return None

    def settled(self, relpath: str, why_stuck: str | None) -> bool:
        """Whether what has settled may go. What could not leave is told once, not at each walk."""
        self._stuck.discard(relpath)
        if why_stuck is None:
            self.forget([relpath])
            return True
        self.note(relpath, why_stuck)
        if relpath in self.reasons:
            self._stuck.add(relpath)
        return False

    def note(self, relpath: str, why: str) -> None:
        """It stays for this reason, which is told once."""
        is_new = relpath not in self.reasons
        if is_new and len(self.reasons) >= _MOST_NOTED:
            return
        self.reasons[relpath] = why
        if is_new:
            log.warning("scan.passed_over", path=f"{self._inbox}/{relpath}", reason=why)

    def forget(self, relpaths: Iterable[str]) -> None:
        """These are taken, or not there any more."""
        for relpath in relpaths:
            self.reasons.pop(relpath, None)
            self._stuck.discard(relpath)
