"""One folder's intake: settled files become jobs, each carried by a coroutine of its own."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from hotfolder.asking import Asked
from hotfolder.backlog import Backlog
from hotfolder.beforehand import Beforehand
from hotfolder.calling_off import CallOffs
from hotfolder.core.blame import blame
from hotfolder.core.errors import LocalError
from hotfolder.core.grouping import Grouping
from hotfolder.core.hints import Heard
from hotfolder.core.order import Order, full_lanes
from hotfolder.core.records import Fingerprint, Job, Staged, UploadNote
from hotfolder.core.retry import Resettle
from hotfolder.courier import Courier, Ended, NotNow
from hotfolder.endings import Endings
from hotfolder.finding import WINDOW, Finder, Stays
from hotfolder.flights import Flights
from hotfolder.folder_hold import FolderHold
from hotfolder.gate import Gate, Passage
from hotfolder.telling import Told
from hotfolder.threads import Threads
from hotfolder.tidying import Tidier
from hotfolder.walking import Search

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What the intake of one folder follows.

    `patience`: how often a file may change or be busy before it is left for good (`once`); None
    waits without end. `remembered`: what was begun of (inbox, path, fingerprint), whose operation
    goes on. `why_closed`: why no upload may begin at this hour. `is_shut_out(path)`: all that a file
    on its way still has to send waits for its hour. `is_paused`: nothing is started, and what is in
    flight goes on.
    """

    name: str
    search: Search
    new_operation_id: Callable[[], str]
    batch: str
    grouping: Grouping
    patience: int | None = None
    remembered: Callable[[str, str, Fingerprint], UploadNote | Staged | None] = lambda *_: None
    called_off: CallOffs | None = None
    order: Order = Order.FAIR
    why_closed: Callable[[], str | None] = lambda: None
    is_shut_out: Callable[[str], bool] = lambda _: False
    is_paused: Callable[[], bool] = lambda: False


class Intake:
    """The files of one folder between inbox and journey. Owned by the event loop."""

    def __init__(
        self,
        plan: FolderPlan,
        *,
        courier: Courier,
        gate: Gate,
        threads: Threads,
        wake: Callable[[], None],
        is_finishing: Callable[[str], bool] = lambda _: False,
        stays: Stays | None = None,
        catch_up: Callable[[], Awaitable[None]] | None = None,
        refusal: Callable[[], LocalError | None] = lambda: None,
        tidier: Tidier | None = None,
    ) -> None:
        """`is_finishing(path)`: a former run proved the file and it is about to leave the inbox.

        `catch_up` comes before the first turn. Raises `LocalError`, which holds the folder. `refusal`:
        why nothing new of this folder may start now (a disk has no room, completed/ takes nothing).
        `tidier` hears of every file that is over.
        """
        self.plan = plan
        self._is_finishing = is_finishing
        self.inbox = plan.search.inbox
        self._courier, self.gate, self._wake = courier, gate, wake
        self._clock, self._wall = plan.search.clock, plan.search.wall
        self.finder = Finder(
            plan.search,
            threads=threads,
            claimed=self._is_claimed,
            news=self._is_news,
            room=self._room,
            wake=wake,
            stays=stays,
        )
        self._tidier = tidier
        self._beforehand = Beforehand(catch_up, wake)
        self._backlog = Backlog(gate, self._clock, order=plan.order)
        self._flights = Flights()
        self.called_off = CallOffs(threads) if plan.called_off is None else plan.called_off
        self._begins_no_more = False
        self._most_flights = 0  # of this folder, as the last turn was told
        self._is_looking = self._is_to_start = False
        self._stirred: dict[str, Heard] = {}  # hinted at while in flight
        self._looking = FolderHold(plan.name, self._clock)
        self._delivering = FolderHold(plan.name, self._clock)
        self._refusal = refusal
        self._endings = Endings(
            plan.name,
            patience=plan.patience,
            finder=self.finder,
            backlog=self._backlog,
            gate=gate,
            called_off=self.called_off,
            looking=self._looking,
            delivering=self._delivering,
            tidier=tidier,
        )
        self.asked = Asked(
            plan.name,
            self.inbox,
            courier=courier,
            threads=threads,
            flights=self._flights,
            backlog=self._backlog,
            finder=self.finder,
            called_off=self.called_off,
            make_job=self._job,
            new_operation_id=plan.new_operation_id,
            wake=wake,
        )
        self.told = Told(
            self.inbox,
            finder=self.finder,
            backlog=self._backlog,
            called_off=self.called_off,
            left=self._endings.left,
            group_of=self._group_of,
            why_ready=self._why_ready,
            is_to_end=plan.patience is not None,
            clock=self._clock,
            wall=self._wall,
        )

    def hint(self, relpath: str, heard: Heard = Heard.APPEARED) -> None:
        """Something happened at `relpath`."""
        candidate = self.plan.search.candidates.of(relpath)
        if candidate in self._flights:
            if self._stirred.get(candidate) is not Heard.COMPLETED:
                self._stirred[candidate] = heard if candidate == relpath else Heard.DIRECTORY
        else:
            self.finder.hint(relpath, heard)

    def begin_no_more(self) -> None:
        """Start nothing from here on: this life of the daemon ends."""
        self._begins_no_more = True

    async def turn(self, most_flights: int) -> None:
        """One round: settle, and start what may start, up to `most_flights` of this folder."""
        self._most_flights = most_flights
        if self._looking.rests() or not self._may_begin():
            return
        try:
            # At once: what has settled is known nowhere else, and what follows may fail.
            for relpath, fingerprint in await self._look():
                self._backlog.add(self._job(relpath, fingerprint))
            await self.asked.review()
            if self._tidier is not None:
                await self._tidier.turn()
        except LocalError as error:
            self._looking.begin(error)
            return
        self._looking.worked()
        self._endings.lose_patience()
        self._backlog.wake()
        self._start_some()

    async def _look(self) -> list[tuple[str, Fingerprint]]:
        """What has settled. To look at hundreds of files takes as long as their way to the store: others
        start meanwhile, as places become free."""
        self._is_looking = True
        try:
            return await self.finder.turn()
        finally:
            self._is_looking = False

    def _has_left(self) -> None:
        """A place is free. The next turn fills it, or what follows here if one is looking now."""
        if self._is_looking and not self._is_to_start:
            self._is_to_start = True
            asyncio.get_running_loop().call_soon(self._start_meanwhile)
        self._wake()

    def _start_meanwhile(self) -> None:
        self._is_to_start = False
        if self._is_looking:
            self._start_some()

    def _start_some(self) -> None:
        """Start what may start now, of what is known to be whole."""
        if not self._may_start():
            return
        most_flights = self._most_flights
        while self.gate.has_room() and len(self._flights) < (most := self._most_now(most_flights)):
            first = self._backlog.next_to_start(
                self._flights,
                barred=self.called_off,
                closed=full_lanes(self.plan.order, self._flights.lanes, most),
            )
            if first is None:
                break
            self._start(first)

    def _may_start(self) -> bool:
        """Whether anything may. Asked anew each time: a turn that looks at whole trees takes minutes."""
        if self._begins_no_more or self.plan.is_paused() or self._looking.error is not None:
            return False
        return self._refusal() is None and self.plan.why_closed() is None

    def _start(self, job: Job) -> None:
        self._backlog.take(job.relpath)
        passage = self.gate.enter(self._has_left)
        self._flights.begin(job, passage, self._carry(job, passage))

    @property
    def hold(self) -> LocalError | None:
        """Why the folder cannot go on because of this machine, or None."""
        held = self._looking.error or self.finder.walks.trouble or self._delivering.error
        return held or self._refusal()

    def _most_now(self, most_flights: int) -> int:
        """One file at a time is risked where this machine failed the last one."""
        if self._delivering.error is None:
            return most_flights
        return 0 if self._delivering.rests() else 1

    def _may_begin(self) -> bool:
        """Whether what comes before the first turn is done; begins it."""
        try:
            return self._beforehand.is_over()
        except LocalError as error:
            self._looking.begin(error)
            return False

    def next_turn(self) -> float:
        """The moment (monotonic) at which a turn may find something to do without being woken."""
        if self._beforehand.is_under_way:
            return math.inf
        soonest = min(self._backlog.next_wake(), self.finder.next_turn())
        if self._tidier is not None:
            soonest = min(soonest, self._tidier.next_turn())
        if self._looking.error is not None:
            return max(self._looking.until, soonest)
        if self._backlog.ready and self._delivering.error is not None:
            return min(max(self._clock(), self._delivering.until), soonest)
        return soonest

    def has_work(self) -> bool:
        """Whether it knows of any file that is still to be delivered, and may be."""
        return bool(self._flights or self._backlog or len(self.finder.tracker))

    def is_empty(self) -> bool:
        """Whether every file that was found has come to its end or is left."""
        return not (self._backlog or self._flights) and self.finder.is_empty()

    def is_at_its_end(self) -> bool:
        """Whether nothing more can be done now: all is done, or held with nothing in flight."""
        held = self.hold is not None or self.gate.held is not None
        return self.is_empty() or (held and not self._flights)

    def _why_ready(self) -> str:
        """Why what may start does not."""
        held, hold = self.gate.held, self.hold
        if self.plan.is_paused():
            return "hotfolder is paused; `hotfolder resume` lets it go on"
        if hold is not None:
            return hold.sentence
        if held is not None:
            return f"waiting for the store: {held.trouble}"
        return self.plan.why_closed() or "waiting for a free place"

    def unexplained(self) -> str | None:
        """What this folder knows and what holds its places, if nothing explains why nothing starts."""
        is_held = self.hold is not None or self.gate.held is not None
        if is_held or self._flights or self.plan.is_paused() or self.plan.why_closed() is not None:
            return None
        tracker = self.finder.tracker
        lost = len(tracker) if tracker.next_due() is None else 0  # nobody looks at them ever again
        if not lost and self._backlog.ready is None:
            return None
        return (
            f"{len(self._backlog)} files wait for their turn and {lost} for a look, with nothing on its "
            f"way; {self.gate.places()}"
        )

    def _group_of(self, relpath: str, seen: Fingerprint) -> str:
        return self.plan.grouping.group_of(f"{relpath}/" if seen.tree else relpath)

    async def drain(self, grace: float, hurry: asyncio.Event) -> None:
        """Let what flies land within `grace` seconds (or until `hurry`), then interrupt the rest.

        What only waits for the upload window is interrupted at once.
        """
        await self.finder.walks.stop()
        await self._beforehand.stop()
        await self._flights.land(grace, hurry, self.plan.is_shut_out)

    def _is_claimed(self, relpath: str) -> bool:
        return (
            relpath in self._flights
            or relpath in self._backlog
            or relpath in self._endings.left
            or relpath in self.called_off
            or self._is_finishing(f"{self.inbox}/{relpath}")
        )

    def _is_news(self, relpath: str, seen: Fingerprint | None) -> bool:
        """Whether a file put off or called off is gone or has a new version, which starts afresh."""
        if self.called_off.is_news(relpath, seen):
            self.called_off.end(relpath)
            return True
        put_off = self._backlog.version_put_off(relpath)
        if put_off is None or put_off.fingerprint == seen:
            return False
        self._backlog.drop(relpath)
        self._backlog.absolve(relpath)
        return True

    def _room(self) -> int:
        """How many more files may be known."""
        return WINDOW - len(self.finder.tracker) - len(self._backlog)

    def _job(self, relpath: str, fingerprint: Fingerprint) -> Job:
        begun = self.plan.remembered(self.inbox, relpath, fingerprint)
        return Job(
            operation_id=begun.operation_id if begun else self.plan.new_operation_id(),
            batch=self.plan.batch,
            folder=self.plan.name,
            root=self.inbox,
            relpath=relpath,
            group=self._group_of(relpath, fingerprint),
            fingerprint=fingerprint,
            made_at=begun.made_at if begun else self._wall(),
            marker=self.finder.marks.take(relpath),
        )

    async def _carry(self, job: Job, passage: Passage) -> Ended | NotNow:
        """One flight, from which the file always comes back. Raises nothing but its cancellation."""
        is_over = False
        try:
            ending = await self._fly(job, passage)
            is_over = isinstance(ending, Ended)
            return ending
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            # A defect of ours. The file is nowhere but here: without this only a scan would find it.
            reason = f"{type(error).__name__}: {error}"
            log.error("delivery.broken", file=job.path, reason=reason, exc_info=error)
            self._endings.resettle(job, reason)
            return NotNow(error, Resettle(reason))
        finally:
            passage.leave()
            self._flights.end(job.relpath)
            heard = self._stirred.pop(job.relpath, None)
            if heard is not None:
                # What changed on its way is likely to change again: then its quiet time counts.
                self.finder.hint(job.relpath, heard if is_over else Heard.APPEARED)
            self._has_left()

    async def _fly(self, job: Job, passage: Passage) -> Ended | NotNow:
        took_others = self._backlog.took_others_since(job.relpath)
        ending = await self._courier.carry(
            job,
            whose=lambda error: blame(error, self.gate.evidence(took_others_since=took_others)),
            on_decided=passage.decided,
        )
        if isinstance(ending, Ended) and ending.entry["status"] == "success":
            self.gate.took(passage.began)
        await self._endings.take(job, ending)
        return ending


def _is_cancelled() -> bool:
    """Whether somebody asked this very task to end: a future that fails as cancelled asks nothing."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
