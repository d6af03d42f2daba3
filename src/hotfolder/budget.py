"""The byte budget: one bound on all buffers, shared by every file in flight."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from types import TracebackType


class Lease:
    """`least` to `most` bytes of a budget, for as long as it is entered. Made by `ByteBudget.lease`."""

    __slots__ = ("_budget", "first_from", "folder", "least", "most", "served", "share")

    def __init__(self, budget: "ByteBudget", least: int, most: int, folder: str) -> None:
        self._budget, self.least, self.most, self.folder = budget, least, most, folder
        self.share = 0  # what it has
        self.served: asyncio.Future[None] | None = None  # only of one that has to wait
        self.first_from = 0  # how many leases there had been when it became its folder's first

    async def __aenter__(self) -> int:
        await self._budget.take(self)
        return self.share

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Before the end, where nothing is needed any more. May be called again."""
        self._budget.give_back(self)

    def shrink(self, share: int) -> None:
        """Give back what is above `share` bytes."""
        self._budget.give_back(self, share)

    def grow(self, size: int) -> bool:
        """Take `size` bytes more, up to the most it was to get, if they are free and nobody waits."""
        return self._budget.take_more(self, size)


class ByteBudget:
    """Leases of bytes: the folder that has fewest is next, and in each first come first served. A lease
    is taken whole and never waits for more, so that files cannot wait for each other in a ring.

    A lease that is its folder's next and does not fit yet lets up to `patience` others pass, of whatever
    folder; then it is next of all. Some bytes are for small files alone, so that these never wait for
    hours until a large one is done.
    """

    def __init__(
        self, total: int, *, patience: int = 256, kept: int = 0, small: int = 0, spared: int = 0
    ) -> None:
        """`kept` bytes are for leases of up to `small`, unless one lease needs nearly all there is.

        `spared` bytes no folder takes from the others, unless one lease alone needs more than the rest.
        """
        self.total = total
        self.free = total
        self._spared = spared
        self._held = Counter[str]()  # by folder
        self._kept, self._small = kept, small
        self._small_taken = 0
        self._patience = patience
        self._given = 0  # leases, ever
        self._waiting: dict[str, deque[Lease]] = {}  # by folder; none is empty

    def lease(self, least: int, most: int, folder: str = "") -> Lease:
        """An async context manager: waits for at least `least` bytes and gets up to `most`.

        They are given back at the end. Raises `ValueError` if `least` can never fit.
        """
        if least > self.total:
            raise ValueError(f"a lease of {least} bytes can never fit into {self.total}")
        return Lease(self, least, most, folder)

    async def take(self, lease: Lease) -> None:
        """Of `Lease`. Most find room at once, and none of those that wait would: no future is made."""
        if self._serve(lease):
            return
        lease.served = asyncio.get_running_loop().create_future()
        lease.first_from = self._given
        self._waiting.setdefault(lease.folder, deque()).append(lease)
        try:
            await lease.served
        except asyncio.CancelledError:
            self._wait_no_more(lease)
            self.give_back(lease)
            raise

    def give_back(self, lease: Lease, but: int = 0) -> None:
        """Of `Lease`: all it has but so many bytes."""
        back = max(0, lease.share - but)
        self._take(lease, -back)
        lease.share -= back
        if self._waiting:
            self._grant()

    def take_more(self, lease: Lease, size: int) -> bool:
        """Of `Lease`."""
        fits = lease.share + size <= lease.most and size <= self._room_for(lease, None)
        if self._waiting or not lease.share or not fits:
            return False
        lease.share += size
        self._take(lease, size)
        return True

    def _grant(self) -> None:
        """Serve the waiting in turn."""
        for lease in self._in_turn():
            # Hundreds may wait, and each lease that ends asks them all: the cheap question first.
            if lease.least > self.free or not self._serve(lease):
                continue
            self._wait_no_more(lease)
            if lease.served is not None and not lease.served.done():
                lease.served.set_result(None)

    def _in_turn(self) -> Iterator[Lease]:
        """Those that wait, each time the next of the folder that has fewest bytes by then.

        Before them comes who has waited enough, as others wait for it.
        """
        rows = {folder: deque(row) for folder, row in self._waiting.items()}
        late, as_of = self._next_of_all(), self._given
        while len(rows) > 1:
            if as_of != self._given:  # one of them was served: there may be another
                late, as_of = self._next_of_all(), self._given
            if late is not None and late.folder in rows and rows[late.folder][0] is late:
                folder = late.folder
            else:
                folder = min(rows, key=self._held.__getitem__)
            yield rows[folder].popleft()
            if not rows[folder]:
                del rows[folder]
        for row in rows.values():
            yield from row

    def _wait_no_more(self, lease: Lease) -> None:
        row = self._waiting.get(lease.folder)
        if row is not None and lease in row:
            was_first = row[0] is lease
            row.remove(lease)
            del self._waiting[lease.folder]
            if row:  # behind the others that have as many bytes
                self._waiting[lease.folder] = row
                if was_first:
                    row[0].first_from = self._given

    def _serve(self, lease: Lease) -> bool:
        """Give `lease` its share, if it may have one before those that wait."""
        room = self._room_for(lease, self._in_the_way_of(lease))
        if lease.least > room:
            return False
        self._given += 1
        lease.share = min(lease.most, room)
        self._take(lease, lease.share)
        return True

    def _room_for(self, lease: Lease, next_one: Lease | None) -> int:
        """How many bytes it may have; -1 for none. `next_one`: who lets no more others pass."""
        room = min(self.free, self._left_of_share(lease))
        unused = max(0, self._kept - self._small_taken)
        if next_one is not None:
            if self._is_small(lease) and not self._needs_kept(next_one):
                return min(unused, room) if unused else -1
            return -1
        if self._is_small(lease) or self._needs_kept(lease):
            return room
        return min(room, self.free - unused)

    def _in_the_way_of(self, lease: Lease) -> Lease | None:
        """Who has let enough others pass: the next of its own folder, or of all."""
        row = self._waiting.get(lease.folder)
        if row is not None and row[0] is not lease and self._is_late(row[0]):
            return row[0]
        late = self._next_of_all()
        return None if late is lease else late

    def _next_of_all(self) -> Lease | None:
        """Of the folders' next ones that have let enough others pass the one that has longest.

        What its own folder has to give back first is in the way of none but that folder's.
        """
        late = None
        for row in self._waiting.values():
            first = row[0]
            if self._is_late(first) and first.least <= self._left_of_share(first):
                late = first if late is None or first.first_from < late.first_from else late
        return late

    def _is_late(self, first: Lease) -> bool:
        return self._given - first.first_from >= self._patience

    def _left_of_share(self, lease: Lease) -> int:
        """The bytes that its folder may take besides those it has, for this lease."""
        share = max(self.total - self._spared, lease.least if self._spared else 0)
        return share - self._held[lease.folder]

    def _is_small(self, lease: Lease) -> bool:
        return lease.least <= self._small and self._kept > 0

    def _needs_kept(self, lease: Lease) -> bool:
        return lease.least > self.total - self._kept

    def _take(self, lease: Lease, share: int) -> None:
        self.free -= share
        self._held[lease.folder] += share
        if self._is_small(lease):
            self._small_taken += share
