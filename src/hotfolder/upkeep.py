"""Beside the work: full ledger files are packed, their index caught up, memory given back at rest."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from hotfolder.core.errors import LocalError
from hotfolder.indexing import Indexer
from hotfolder.threads import Threads

log = structlog.get_logger()

_PAUSE = 5.0  # seconds between two looks
_LONG_PAUSE = 60.0  # after trouble


class Upkeep:
    """Works in small steps, in a thread of its own, from `begin` to `close`."""

    def __init__(
        self,
        *,
        indexer: Indexer,
        pack: Callable[[Callable[[], bool]], int],
        threads: Threads,
        clock: Callable[[], float],
        idle_seconds: Callable[[], float],
        relax: Callable[[], None],
    ) -> None:
        """`pack` packs what is to be packed, as long as its argument says that it is wanted.

        `relax` is called once whenever the daemon has come to rest: it gives memory back.
        """
        self._indexer, self._pack, self._threads, self._clock = indexer, pack, threads, clock
        self._idle_seconds, self._relax = idle_seconds, relax
        self._is_relaxed = False
        self._begun = asyncio.Event()
        self._closing = asyncio.Event()
        self._is_wanted = True
        self._complained = False

    def begin(self) -> None:
        """From now on: the daemon is ready."""
        self._begun.set()

    def close(self) -> None:
        """Let `run` end after the step that it is in."""
        self._is_wanted = False
        self._begun.set()
        self._closing.set()

    async def run(self) -> None:
        await self._begun.wait()
        while self._is_wanted:
            try:
                pause = await self._threads.run(self._step)
                self._complained = False
            except LocalError as error:
                if not self._complained:
                    log.warning("upkeep.failed", reason=str(error), hint=error.hint)
                self._complained = True
                pause = _LONG_PAUSE
            with contextlib.suppress(TimeoutError):  # the pause is over
                async with asyncio.timeout(pause):
                    await self._closing.wait()
        await self._threads.run(self._indexer.close)

    def _step(self) -> float:
        """Do a little; returns for how many seconds to rest, at least as long as it took."""
        began = self._clock()
        is_idle = self._idle_seconds() >= _PAUSE
        if is_idle and not self._is_relaxed:
            self._relax()
        self._is_relaxed = is_idle
        if self._indexer.step():
            return self._clock() - began
        self._pack(lambda: self._is_wanted)
        return _PAUSE
