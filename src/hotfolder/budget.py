"""The byte budget: one bound on all buffers, shared by every file in flight."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from types import TracebackType


class Lease:
    """`least` to `most` bytes of a budget, for as long as it is entered. Made by `ByteBudget.lease`."""

    __slots__ = ("_budget", "folder", "least", "most", "served", "share")

    def __init__(self, budget: "ByteBudget", least: int, most: int, folder: str) -> None:
        self._budget, self.least, self.most, self.folder = budget, least, most, folder
        self.share = 0  # what it has
        self.served: asyncio.Future[None] | None = None  # only of one that has to wait

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

    A lease that does not fit yet lets up to `patience` smaller ones pass; then it is next. Some bytes
    are for small files alone, so that these never wait for hours until a large one is done.
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
        self._passed = 0
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
        first = next(self._in_turn()) if self._waiting else None
        if self._serve(lease, first):
            return
        lease.served = asyncio.get_running_loop().create_future()
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
        """Serve the waiting in order; behind one that does not fit, at most `patience` may pass."""
        first: Lease | None = None  # of those that do not fit
        for lease in self._in_turn():
            # Hundreds may wait, and each lease that ends asks them all: the cheap question first.
            if lease.least > self.free or not self._serve(lease, first):
                first = first or lease
                continue
            self._wait_no_more(lease)
            if lease.served is not None and not lease.served.done():
                lease.served.set_result(None)

    def _in_turn(self) -> Iterator[Lease]:
        """Those that wait, each time the next of the folder that has fewest bytes by then."""
        rows = {folder: iter(tuple(row)) for folder, row in self._waiting.items()}
        while len(rows) > 1:
            folder = min(rows, key=self._held.__getitem__)
            lease = next(rows[folder], None)
            if lease is None:
                del rows[folder]
            else:
                yield lease
        for row in rows.values():
            yield from row

    def _wait_no_more(self, lease: Lease) -> None:
        row = self._waiting.get(lease.folder)
        if row is not None and lease in row:
            row.remove(lease)
            del self._waiting[lease.folder]
            if row:  # behind the others that have as many bytes
                self._waiting[lease.folder] = row

    def _serve(self, lease: Lease, first: Lease | None) -> bool:
        """Give `lease` its share, if it may have one before `first`, which waits longest."""
        room = self._room_for(lease, first if self._passed >= self._patience else None)
        if lease.least > room:
            return False
        self._passed = 0 if first is None else self._passed + 1
        lease.share = min(lease.most, room)
        self._take(lease, lease.share)
        return True

    def _room_for(self, lease: Lease, next_one: Lease | None) -> int:
        """How many bytes it may have; -1 for none. `next_one`: who lets no more others pass."""
        room = min(self.free, self._left_of_share(lease))
        unused = max(0, self._kept - self._small_taken)
        if next_one is not None and self._is_before(next_one, lease):
            if self._is_small(lease) and not self._needs_kept(next_one):
                return min(unused, room) if unused else -1
            return -1
        if self._is_small(lease) or self._needs_kept(lease):
            return room
        return min(room, self.free - unused)

    def _is_before(self, next_one: Lease, lease: Lease) -> bool:
        """What its own folder has to give back first is in the way of none but that folder's."""
        return next_one.folder == lease.folder or next_one.least <= self._left_of_share(next_one)

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
