"""One run of one contestant on one work against one store, checked: a run that failed is no figure."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.bench.speed import names, whole_job
from tests.bench.speed.measure import Cost, RunFailed, run
from tests.bench.speed.peers import Peer, Target, Tools
from tests.bench.speed.results import Figures
from tests.bench.speed.stores import Store, Usage
from tests.bench.speed.works import Made, files_below
from tests.support.box import Box

_SAMPLE = 20  # objects fetched and restored where the store keeps them


class Job(Protocol):
    """A run that is ready to begin: `work` is all that its box then has delivered."""

    box: Box
    work: Made

    def run(self) -> Cost: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Hotfolder:
    """One of the ways to have hotfolder do it: `job` makes it ready, in a new folder."""

    name: str
    job: Callable[[Path, Target, Made], Job]


DAEMON = Hotfolder(names.HOTFOLDER, whole_job.Daemon)
ONCE = Hotfolder(names.ONCE, whole_job.Once)
BY_THOUSANDS = Hotfolder(names.BY_THOUSANDS, partial(whole_job.Steady, by_folders=True))
AT_ONCE = Hotfolder(names.AT_ONCE, partial(whole_job.Steady, by_folders=False))
Contestant = Peer | Hotfolder


@dataclass(frozen=True, slots=True)
class Ground:
    """Where runs happen: a folder on the disk of the inputs, the peers' programs."""

    root: Path
    tools: Tools
    seed: int

    def run(self, contestant: Contestant, work: Made, store: Store) -> Figures:
        """Raises RunFailed, or AssertionError where a ledger's chain or a daemon is broken."""
        place = Path(tempfile.mkdtemp(prefix="run-", dir=self.root))
        target = store.target()
        try:
            if isinstance(contestant, Peer):
                cost, usage = self._peer(contestant, work, store, target, place)
            else:
                cost, usage = self._hotfolder(contestant, work, store, target, place)
        finally:
            store.clear(target)
            shutil.rmtree(place)
        requests = sum(usage.requests.values()) if usage else None
        return Figures(cost.wall, cost.cpu, cost.peak, requests, usage.cpu if usage else None)

    def _peer(
        self, peer: Peer, work: Made, store: Store, target: Target, place: Path
    ) -> tuple[Cost, Usage | None]:
        source = work.folder
        if peer.moves:
            source = place / "source"
            work.linked(source)
        pipeline = peer.pipeline(self.tools, source, target)
        environment = self.tools.environment(target, place)
        work.warm()
        store.usage()
        cost = run(pipeline, environment, place / "log")
        usage = store.usage()
        if peer.moves and (left := sum(1 for _ in files_below(source))):
            raise RunFailed(f"{peer.name} left {left} files where they were")
        if usage:
            check_arrived(peer, work, usage)
        return cost, usage

    def _hotfolder(
        self, hotfolder: Hotfolder, work: Made, store: Store, target: Target, place: Path
    ) -> tuple[Cost, Usage | None]:
        job = hotfolder.job(place / "box", target, work)
        try:
            work.warm()
            store.usage()
            cost = job.run()
            usage = store.usage()
            whole_job.check(job.box, job.work)
            if usage is None:
                whole_job.check_restored(job.box, _SAMPLE, self.seed)
        finally:
            job.close()
        if usage and usage.objects != work.files:
            raise RunFailed(f"the sink has {usage.objects} objects of {work.files} files")
        return cost, usage


def check_arrived(peer: Peer, work: Made, usage: Usage) -> None:
    """As many objects as there should be, and where they are the files' own bytes no fewer of those."""
    objects = work.files * peer.objects or 1
    if usage.objects != objects:
        raise RunFailed(f"{peer.name}: {usage.objects} objects, not {objects}: {dict(usage.requests)}")
    if peer.plain and usage.received < work.size:
        raise RunFailed(f"{peer.name}: {usage.received} bytes arrived of {work.size}")
