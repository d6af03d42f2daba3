"""Whose fault it is that a store did not take a file: this one's, or no file's at all. Pure.

A policy on one key, a proxy that does not let one content pass, an object that a store breaks over: the
answer is the same as in an outage. Only what becomes of other files tells them apart.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto

from hotfolder.core.errors import DestinationError

MOST_UNSURE = 3  # refusals in a row that may be of single files, among others that are taken


class Blame(Enum):
    """Who waits, and whose attempts it costs."""

    FILE = auto()  # its own fault: it is tried again, and given up in the end
    UNSURE = auto()  # it waits at no cost, and the others go on: by them it shows
    STORE = auto()  # an outage: all wait, at no cost


@dataclass(frozen=True, slots=True)
class Evidence:
    """What became of other files on their way to the same store.

    `took_others_since`: when this try began no outage was going on, and between an earlier refusal of
    this file and that moment the store took another. `taken_ago`: seconds since the latest delivery
    began that it took. `unsure`: how many refusals came since that one.
    """

    took_others_since: bool = False
    taken_ago: float = math.inf
    unsure: int = MOST_UNSURE


def blame(error: DestinationError, seen: Evidence) -> Blame:
    """Whose fault `error` is, by what was `seen` since."""
    if error.failing_for is not None and seen.taken_ago < error.failing_for:
        return Blame.FILE  # others went all their way while each try of this one was cut or stalled
    if not error.may_be_one_keys:
        return Blame.STORE
    if seen.took_others_since:
        return Blame.FILE
    return Blame.UNSURE if seen.unsure < MOST_UNSURE else Blame.STORE
