"""Frozen dataclasses at the price of others.

A file on its way is told of by a dozen values. To set a field of a frozen dataclass costs six times as
much as of another: in all that was a tenth of the time that the event loop has for a small file.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool):
        """As `dataclass`. That nobody changes such a value is held by the type checker, on every line.

        A misspelt field is refused at run time, too: there is no slot for it.
        """
        if not (frozen and slots):
            raise TypeError("a value is frozen, and has slots")
        return dataclass(slots=True, unsafe_hash=True)


__all__ = ["value"]
