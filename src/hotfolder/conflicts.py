"""What stands under a file's key, and what follows: the rules of `core.conflict`, acted out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

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
    replaced_by,
    rest_before_look,
    way,
)
from hotfolder.core.objects import Label
from hotfolder.core.records import Receipt
from hotfolder.core.values import value
from hotfolder.wire import Wire

log = structlog.get_logger()

_MOST_CANDIDATES = 8  # objects that one file is compared with

#: The deliveries that the ledger knows under keys of a family, newest first.
Earlier = Callable[[Family], Awaitable[Sequence[EarlierObject]]]


async def nothing_earlier(_: Family) -> Sequence[EarlierObject]:
    """`Earlier` without a ledger."""
    return ()


@value(frozen=True, slots=True)
class Ruling:
    """`same` where nothing is to be sent; `replaced` where something will be overwritten.

    `broken`: ETag of an object that an earlier try of this very operation left there, and that does not
    hold the file. Nobody else was told of it, so it is sent again over it.
    """

    way: Way
    same: Same | None = None
    replaced: Replaced | None = None
    broken: str | None = None


FREE = Ruling(Way.SEND)


class Conflicts:
    """Looks at one store. Raises what `ObjectStore` raises."""

    def __init__(self, wire: Wire, earlier: Earlier) -> None:
        self._wire, self._earlier = wire, earlier

    async def settle(
        self, path: str, label: Label, comparison: Comparison, on_conflict: OnConflict
    ) -> Ruling:
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
        if same is None and label.names(taken):
            log.warning("conflict.replaces_own", file=path, key=taken.key, etag=taken.etag)
            return Ruling(Way.REPLACE, replaced=replaced_by(taken), broken=taken.etag)
        follows = way(Standing.OTHER if same is None else Standing.SAME, on_conflict)
        match follows:
            case Way.REFUSE:
                raise refusal(path, taken)
            case Way.REPLACE:
                log.warning("conflict.overwrites", file=path, key=taken.key, etag=taken.etag)
                return Ruling(follows, replaced=Replaced.of(taken))
            case Way.BESIDE:
                known = await self._earlier(label.family) if known is None else known
                same = await self._beside(label, comparison, known)
                if same is None:
                    return await self._own_beside(path, label, comparison)
        return Ruling(follows if same is None else Way.FOUND, same)

    async def _own_beside(self, path: str, label: Label, comparison: Comparison) -> Ruling:
        """What an earlier try of this very operation may have left under the key beside."""
        own = await self._wire.head(label.alternative)
        if own is None:
            return Ruling(Way.BESIDE)
        same = await comparison.proof(own)
        if same is not None:
            return Ruling(Way.FOUND, same)
        if not label.names(own):
            return Ruling(Way.BESIDE)
        log.warning("conflict.replaces_own", file=path, key=own.key, etag=own.etag)
        return Ruling(Way.BESIDE, broken=own.etag)

    async def outlasts(self, label: Label, key: str, receipt: Receipt, took: float) -> bool:
        """Whether an object of ours was not replaced by another writer's right after it was made.

        Where a store looks at a condition first and acts later, or knows none, two writers may both
        succeed, and the first one's object is gone. Who looked before us cannot take much longer than
        we did: `took` seconds after it was made, which our own request needed, the store is looked at
        again. Its answer and this look are on their way for some of them: that is not waited for twice.
        Raises `VerificationFailed` where nothing is there any more.
        """
        await asyncio.sleep(rest_before_look(took, travels=self._wire.nearest))
        info = await self._wire.existing(key)
        says_whose = "hotfolder-operation" in info.metadata
        return label.names(info) if says_whose else info.etag == receipt.etag

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
