"""What whoever sends asks of the line that all requests share."""

from typing import Protocol

from hotfolder.core.allowance import Owner, Place


class Limiter(Protocol):
    """Whose turn it is to send. May be called from any thread but where it says so; nothing blocks.

    Bytes are asked for in pieces, each sent when its wait is over: so all who send get on side by side.
    The rate may change at any moment: look at `wait` again after a while.
    """

    async def opened(self) -> None:
        """Wait until bodies may be begun, for the first time or again. In the event loop."""
        ...

    @property
    def rate(self) -> float:
        """Bytes a second for all together; `inf` where there is no limit."""
        ...

    def piece(self) -> int:
        """How many bytes are best asked for at once."""
        ...

    def sender(self) -> Owner:
        """Whose bytes those are that the running task sends. In the event loop."""
        ...

    def ask(self, size: int, sender: Owner) -> Place:
        """Take the next `size` bytes of the sender's share; returns their place for `wait`."""
        ...

    def wait(self, place: Place) -> float:
        """Seconds until what has this place may go, as it looks now; 0: go."""
        ...
