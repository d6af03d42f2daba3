"""The ways to the destinations: each with its own clients, threads, buffers, gate and profile."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from hotfolder.activity import Activity
from hotfolder.adapters.s3 import S3Connection, S3Settings, S3Store
from hotfolder.adapters.unpacking import unpacker
from hotfolder.bandwidth import Bandwidth
from hotfolder.budget import ByteBudget
from hotfolder.config import Destination, Settings
from hotfolder.core.conflict import EarlierObject, Family
from hotfolder.core.ports import Profiles
from hotfolder.core.profile import Seen
from hotfolder.core.pulse import Step
from hotfolder.destinations import put_engine, s3_settings
from hotfolder.gate import Gate
from hotfolder.indexing import IndexedLedger
from hotfolder.places import RequestPlaces
from hotfolder.profiling import Profiler
from hotfolder.resuming import Notebook, Resumer
from hotfolder.surveying import profile_key, survey, token_of
from hotfolder.sweeping import Sweeper, Territory
from hotfolder.threads import Threads
from hotfolder.transfer import Sender, SendLimits
from hotfolder.wire import Wire

_FILES_AT_ONCE = 2  # so that one large file packs with half of the threads: two for each core
_PROBERS = 8  # threads of one destination: those of probes that hang, and of the one that does not
_PROBE_CONNECT, _PROBE_READ = 5.0, 60.0  # seconds
_PROBE_ATTEMPTS = 2
MOST_FLIGHTS = 256  # files on their way at once; the byte budget bounds them further


@dataclass(frozen=True, slots=True)
class Line:
    """The way to one destination. Its `stores` are that of the files, and that of the probes."""

    stores: Sequence[S3Store]
    connections: Sequence[S3Connection]
    executors: Sequence[ThreadPoolExecutor]
    wire: Wire
    resumer: Resumer
    buffers: ByteBudget
    sender: Sender
    gate: Gate
    profiler: Profiler


class Lines:
    """The lines of one engine, each made at its first use.

    `hashers` are its threads that pack and hash; `ledger` is read in `notes`, as the profiles are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        host: str,
        activity: Activity,
        bandwidth: Bandwidth,
        notebook: Notebook,
        profiles: Profiles,
        ledger: IndexedLedger,
        hashers: Threads,
        notes: Threads,
        segment: int,
    ) -> None:
        """`segment` in bytes: a part of the recipe, so one size for all. All share one `bandwidth`."""
        self._settings, self._host, self._activity = settings, host, activity
        self._bandwidth = bandwidth
        self._notebook, self._profiles, self._ledger = notebook, profiles, ledger
        self._hashers, self._notes, self._segment = hashers, notes, segment
        self._seen: dict[str, Seen] = {}
        self._open_lines: list[tuple[Destination, Line]] = []

    async def load(self) -> None:
        """Read what former runs saw of the stores."""
        self._seen = await self._notes.run(self._profiles.all)

    def all(self) -> list[Line]:
        return [line for _, line in self._open_lines]

    def to(self, destination: Destination) -> Line:
        """The way to a destination, made at first use; folders that share one share its line."""
        for known, line in self._open_lines:
            if known == destination:
                return line
        line = self._open(destination)
        self._open_lines.append((destination, line))
        return line

    def _open(self, destination: Destination) -> Line:
        transfer = self._settings.transfer
        # A store that hangs keeps its buffers and threads: the others must have their own.
        memory = transfer.memory // len(self._settings.destinations())
        connection = S3Connection(s3_settings(destination, transfer))
        name = self._name_of(destination)
        places = RequestPlaces(transfer.requests, name=name)
        requests = ThreadPoolExecutor(transfer.requests, thread_name_prefix="s3")
        engine = put_engine(destination, transfer, self._activity.progressed, self._bandwidth)
        # Without an engine each request needs a thread, so that small ones have no more places.
        small = places
        if engine is not None:
            small = RequestPlaces(transfer.small_requests, name=name, kind="small")

        def on_throttled() -> None:
            kinds = {places, small}
            under_way = sum(each.taken for each in kinds)
            for each in kinds:
                each.throttled(under_way)

        store = S3Store(
            connection,
            requests,
            engine=engine,
            on_move=self._activity.progressed,
            limiter=self._bandwidth,
            on_throttled=on_throttled,
        )
        wire = Wire(
            store, requests=places, small=small, threads=self._hashers, bandwidth=self._bandwidth
        )
        asks = str(connection.settings.options)
        resumer = Resumer(wire, self._notebook, bucket=name, asks=asks)
        beside = sum(folder.destination == destination for folder in self._settings.folders.values()) > 1
        buffers = ByteBudget(
            memory, kept=memory // 8, small=memory // 32, spared=memory // 3 if beside else 0
        )
        probing = S3Connection(_for_probes(connection.settings))
        probers = ThreadPoolExecutor(_PROBERS, thread_name_prefix="probe")
        asked = S3Store(probing, probers)
        gate = Gate(
            asked,
            self._activity,
            name=name,
            most=MOST_FLIGHTS,
            clock=time.monotonic,
            wall=time.time,
            jitter=random.random,
        )
        profiler = self._profiler(destination, connection.settings, gate)
        sender = Sender(
            wire,
            resumer,
            buffers=buffers,
            limits=SendLimits(
                memory, self._segment, transfer.part_size, max(1, transfer.workers // _FILES_AT_ONCE)
            ),
            profile=profiler.profile,
            learn=profiler.learn,
            earlier=partial(self._earlier, destination.bucket),
            unpackers=unpacker,
        )
        ends = (connection, probing), (requests, probers)
        return Line((store, asked), *ends, wire, resumer, buffers, sender, gate, profiler)

    def _profiler(self, destination: Destination, s3: S3Settings, gate: Gate) -> Profiler:
        key = profile_key(destination)
        token = token_of(self._host, str(self._settings.state_dir))
        return Profiler(
            partial(survey, s3, destination.prefix, token, time.time),
            self._profiles,
            key=key,
            seen=self._seen.get(key),
            gate=gate,
            threads=self._notes,
            clock=time.monotonic,
            wall=time.time,
        )

    async def _earlier(self, bucket: str, family: Family) -> list[EarlierObject]:
        return await self._notes.run(self._ledger.delivered, bucket, family)

    def _name_of(self, destination: Destination) -> str:
        """The bucket, and its store where two have buckets of one name."""
        buckets = [each.bucket for each in self._settings.destinations()]
        if buckets.count(destination.bucket) < 2:
            return destination.bucket
        return f"{destination.bucket} at {destination.endpoint_url or destination.region}"

    def sweepers(self, threads: Threads) -> list[Sweeper]:
        """One for each destination."""
        return [self._sweeper(destination, line, threads) for destination, line in self._open_lines]

    def _sweeper(self, destination: Destination, line: Line, threads: Threads) -> Sweeper:
        settings = self._settings
        routes = [
            (folder, settings.route(name, group).fixed_start())
            for name, folder in settings.folders.items()
            if folder.destination == destination
            for group in ("", *folder.groups)
        ]
        return Sweeper(
            line.wire,
            line.resumer,
            self._notebook,
            # Without a fixed start any upload of the bucket would look like one of ours.
            Territory({start for _, start in routes if start}, {str(f.inbox) for f, _ in routes}),
            gate=line.gate,
            threads=threads,
            is_flying=self._activity.flights.__contains__,
            clock=time.monotonic,
        )

    def steps(self) -> list[Step]:
        """The requests under way."""
        return [step for line in self.all() for store in line.stores for step in store.steps()]

    async def hang_up(self) -> None:
        """End the connections of the event loop."""
        for line in self.all():
            for store in line.stores:
                await store.close()

    def close(self, *, wait: bool) -> None:
        """Blocking. `wait` for the threads of requests that are still under way."""
        for line in self.all():
            for executor in line.executors:
                executor.shutdown(wait=wait, cancel_futures=True)
            for connection in line.connections:
                connection.close()


def _for_probes(settings: S3Settings) -> S3Settings:
    """A probe asks again soon enough, and what hangs must not keep the next one from asking."""
    return replace(
        settings,
        connect_timeout=min(_PROBE_CONNECT, settings.connect_timeout),
        read_timeout=min(_PROBE_READ, settings.read_timeout),
        attempts=min(_PROBE_ATTEMPTS, settings.attempts),
        max_pool_connections=_PROBERS,
    )
