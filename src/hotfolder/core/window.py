"""How many requests may be under way at once, found out by what becomes of them. Pure.

A small request is bound by the way to the store and back, so that many have to be under way to fill the
line; a store that has enough says so. As TCP does it: the window opens by one with each success until
the first trouble, then halves, and from there on opens by one with each window of successes. It opens
only while it is used up, and halves once for all that was under way together.
"""


class Window:
    """Begins at `first`, never leaves `least` to `most`."""

    def __init__(self, first: int, most: int, *, least: int = 4) -> None:
        self._least, self._most = min(least, first), most
        self.limit = first
        self._is_sought = True  # no trouble yet
        self._successes = 0  # since it last changed
        self._begun = 0  # requests so far
        self._heeded = 0  # how many were begun when it last halved

    def begin(self) -> int:
        """A request begins; its number is to be told to `trouble`."""
        self._begun += 1
        return self._begun

    def success(self, under_way: int) -> None:
        """A request went well at first try while so many were under way, itself among them."""
        if under_way < self.limit or self.limit >= self._most:
            return
        self._successes += 1
        if self._is_sought or self._successes >= self.limit:
            self.limit += 1
            self._successes = 0

    def trouble(self, number: int) -> None:
        """The request of that number was refused, or had to be repeated."""
        if number <= self._heeded:
            return  # it was under way when the window last halved
        self.limit = max(self._least, self.limit // 2)
        self._is_sought, self._successes, self._heeded = False, 0, self._begun
