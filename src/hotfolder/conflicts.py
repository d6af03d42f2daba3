"""What stands under a file's key, and what follows: the rules of `core.conflict`, acted out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from hotfolder.comparing import Comparison, Same
from hotfolder.core.conflict import (
    EarlierObject,
    Family,
    OnConflict,
    Replaced,
    Standing,
    Way,
    refusal,
    way,
)
from hotfolder.core.objects import Label
from hotfolder.wire import Wire

log = structlog.get_logger()

_MOST_CANDIDATES = 8  # objects that one file is compared with

#: The deliveries that the ledger knows under keys of a family, newest first.
Earlier = Callable[[Family], Awaitable[Sequence[EarlierObject]]]


async def nothing_earlier(_: Family) -> Sequence[EarlierObject]:
    """`Earlier` without a ledger."""
    return ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`same` where nothing is to be sent; `replaced` where something will be overwritten."""

    way: Way
    same: Same | None = None
    replaced: Replaced | None = None


FREE = Verdict(Way.SEND)


class Conflicts:
    """Looks at one store. Raises what `ObjectStore` raises."""

    def __init__(self, wire: Wire, earlier: Earlier) -> None:
        self._wire, self._earlier = wire, earlier

    async def settle(
        self, path: str, label: Label, comparison: Comparison, on_conflict: OnConflict
    ) -> Verdict:
        """What is to be done with a file by what stands under its key now.

        Raises `FileRejected` where its conflict is to be its failure.
        """
        taken = await self._wire.head(label.key)
        if taken is None:
            return FREE
        known: Sequence[EarlierObject] | None = None
        told = None
        if "hotfolder-size" not in taken.metadata:  # not ours, unless the ledger knows it
            known = await self._earlier(label.family)
            told = next((line for line in known if line.key == label.key), None)
        same = await comparison.proof(taken, told)
        follows = way(Standing.OTHER if same is None else Standing.SAME, on_conflict)
        match follows:
            case Way.REFUSE:
                raise refusal(path, taken)
            case Way.REPLACE:
                log.warning("conflict.overwrites", file=path, key=taken.key, etag=taken.etag)
                return Verdict(follows, replaced=Replaced.of(taken))
            case Way.BESIDE:
                known = await self._earlier(label.family) if known is None else known
                same = await self._beside(label, comparison, known)
        return Verdict(follows if same is None else Way.FOUND, same)

    async def _beside(
        self, label: Label, comparison: Comparison, known: Sequence[EarlierObject]
    ) -> Same | None:
        """An object that an earlier delivery put beside the key, if it holds just this file."""
        candidates = [
            line for line in known if line.key != label.key and line.original_size == comparison.size
        ]
        if not candidates:
            return None
        sha256 = await comparison.sha256()
        keys = dict.fromkeys(line.key for line in candidates if line.is_of(sha256))
        for key in list(keys)[:_MOST_CANDIDATES]:
            taken = await self._wire.head(key)
            told = next(line for line in candidates if line.key == key)
            if taken is not None and (same := await comparison.proof(taken, told)) is not None:
                return same
        return None
