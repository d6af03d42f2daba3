"""The index of the ledger: caught up in small steps, asked where it pays, never believed blindly."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from hotfolder.core.conflict import EarlierObject, Family, earlier_object
from hotfolder.core.errors import LocalError
from hotfolder.core.ledger_marks import Mark, Stretch
from hotfolder.core.ports import LedgerIndex, ReadLedger

log = structlog.get_logger()

_NEWEST = 2000  # lines that the index may be behind
_LINES = 500  # in a step: some 10 ms


class IndexedLedger:
    """`core.ports.Ledger` that looks up in the index what the index has read."""

    def __init__(self, ledger: ReadLedger, index: LedgerIndex) -> None:
        self._ledger, self._index = ledger, index

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self._ledger.append(entries)

    def repair(self) -> None:
        self._ledger.repair()

    def newest_first(self) -> Iterator[dict[str, Any]]:
        return self._ledger.newest_first()

    def recorded(self, wanted: Collection[str], *, since: str) -> frozenset[str]:
        """The ledger alone answers where the index has nothing, does not fit, or fails."""
        try:
            mark, known = self._index.recorded(wanted)
            self._index.close()
        except LocalError as error:
            log.warning("index.failed", reason=str(error), hint=error.hint)
            mark, known = None, frozenset()
        if mark is None or not self._ledger.fits(mark):
            return self._ledger.recorded(wanted, since=since)
        rest = [operation_id for operation_id in wanted if operation_id not in known]
        return known | self._ledger.recorded(rest, since=since, behind=mark)

    def delivered(self, bucket: str, family: Family) -> list[EarlierObject]:
        """Objects of these keys that the ledger names, newest first. Candidates: nothing is proven.

        What the index has not read yet is looked for among the newest lines. Blocking. A ledger that
        cannot be read names none.
        """
        try:
            mark, known = self._index.delivered(bucket, family)
            self._index.close()
            if mark is not None and not self._ledger.fits(mark):
                known = []
            newest = islice(self._ledger.newest_first(), _NEWEST)
            told = [earlier_object(line) for line in newest if line.get("s3_bucket") == bucket]
        except LocalError as error:
            log.warning("index.failed", reason=str(error), hint=error.hint)
            return []
        mine = [line for line in told if line is not None and line.key in family]
        return list(dict.fromkeys([*mine, *known]))


class Indexer:
    """Reads the ledger into the index, a step at a time."""

    def __init__(self, ledger: ReadLedger, index: LedgerIndex, *, most: int = _LINES) -> None:
        self._ledger, self._index, self._most = ledger, index, most
        self._ahead: Iterator[Stretch] = iter(())

    def contradiction(self) -> Mark | None:
        """How far the index has read, if that line is not there any more. Raises `LocalError`."""
        mark = self._index.mark()
        return mark if mark is not None and not self._ledger.fits(mark) else None

    def step(self) -> bool:
        """Index some lines; False once there are no more for now. Blocking; raises `LocalError`."""
        after = self._index.mark()
        stretch = next(self._ahead, None)
        if stretch is None:
            if after is not None and not self._ledger.fits(after):
                log.warning("index.begun_anew", lines=after.lines)
                self._index.clear()
                after = None
            self._ahead = self._ledger.read_on(after, self._most)
            stretch = next(self._ahead, None)
        if stretch is not None and not self._index.add(stretch, after=after):
            self._ahead = iter(())  # another owner went on or began anew: so do we, from there
        return stretch is not None

    def rebuild(self) -> int:
        """Index everything anew; returns how many lines there are."""
        self._index.clear()
        while self.step():
            pass
        mark = self._index.mark()
        return mark.lines if mark else 0

    def close(self) -> None:
        self._ahead = iter(())
        self._index.close()
