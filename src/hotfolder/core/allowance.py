"""Bytes that may be sent by now, for all requests together. Pure: the clock is an argument.

Who wants to send asks for its bytes, and gets its place in the row of all bytes ever asked for. As time
goes by the row is let through from its front. A place holds whatever the rate becomes meanwhile; so
another rate counts at once for what already waits, and nobody has to be told.
"""

import math
from dataclasses import dataclass

_BURST = 0.25  # seconds' worth that may go at once after a pause: a busy machine pauses now and then
_PIECE = 0.05  # seconds' worth that is asked for at once: small, so that all get on side by side
_LEAST_PIECE, _MOST_PIECE = 1024, 256 * 1024  # bytes


@dataclass(slots=True)
class Allowance:
    """Bytes a second for all who ask. Owned by one thread, or used under a lock. Clock in seconds."""

    rate: float = math.inf
    _asked: float = 0.0  # bytes, ever
    _allowed: float = 0.0  # bytes of these, as of `_since`
    _since: float = 0.0

    def set_rate(self, rate: float, now: float) -> None:
        """From `now` on; `inf` lets everything go."""
        self._allowed, self._since = self._allowed_at(now), now
        self.rate = rate

    def ask(self, size: int, now: float) -> float:
        """Take the next `size` bytes; returns their place for `wait`."""
        if self.rate == math.inf:
            return 0.0
        unused = self._allowed_at(now) - self._asked - self.rate * _BURST
        if unused > 0:  # what was not used in time is lost
            self._allowed -= unused
        self._asked += size
        return self._asked

    def wait(self, place: float, now: float) -> float:
        """Seconds until what has this place may go, at the rate of now; 0: go."""
        if self.rate == math.inf:
            return 0.0
        return max(0.0, (place - self._allowed_at(now)) / self.rate)

    def piece(self) -> int:
        """How many bytes are best asked for at once."""
        if self.rate == math.inf:
            return _MOST_PIECE
        return int(min(max(self.rate * _PIECE, _LEAST_PIECE), _MOST_PIECE))

    def _allowed_at(self, now: float) -> float:
        if self.rate == math.inf:
            return self._asked
        return self._allowed + (now - self._since) * self.rate
