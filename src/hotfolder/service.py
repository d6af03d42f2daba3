"""The composition root of the daemon: one life after another, a new one for each reload."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import structlog

from hotfolder.activity import Waiting
from hotfolder.adapters import mounts, source
from hotfolder.adapters.control import ControlServer
from hotfolder.adapters.finishing import hand_back
from hotfolder.adapters.heartbeat import HeartbeatFile
from hotfolder.adapters.inbox_locks import InboxLocks
from hotfolder.adapters.lock import StateLock
from hotfolder.adapters.systemd import Notifier
from hotfolder.app import Display, RunSummary, prepare_state, shown
from hotfolder.assembly import parts_of
from hotfolder.bandwidth import Bandwidth
from hotfolder.config import Settings
from hotfolder.control import Control
from hotfolder.core.control import Request
from hotfolder.core.errors import ConfigError, DiskFull, HotfolderError, LocalError
from hotfolder.daemon import Daemon, trouble_of, wait_for
from hotfolder.engine import engine, new_activity
from hotfolder.folder_rules import marker_of
from hotfolder.leaving import end_after
from hotfolder.rebuilding import memory
from hotfolder.reloading import differ_in_bandwidth, keep_inboxes, rehearse, require_takeable
from hotfolder.retrying import Retried, Retrying, WayBack
from hotfolder.state_folder import open_ledger

log = structlog.get_logger()

_HOLD = 5  # seconds between two tries of a life that this machine refuses
_LEAVE_WITHIN = 1.0  # seconds, once asked twice
_STOP_WITHIN = 75.0  # seconds, once asked: less than TimeoutStopSec of the units


async def run(
    settings: Settings,
    *,
    once: bool = False,
    display: Display | None = None,
    reread: Callable[[], Settings] | None = None,
    hangup_reloads: bool = False,
) -> RunSummary:
    """Run the daemon until it is stopped, or with `once` until the inboxes are done.

    `reread` reads the configuration again for a reload; None: it cannot be reloaded. `hangup_reloads`:
    so does SIGHUP, which else means that the terminal was closed.
    """
    with InboxLocks() as locks:
        return await Service(
            settings,
            locks,
            once=once,
            display=display,
            reread=reread,
            hangup_reloads=hangup_reloads,
        ).run()


class Service:
    """Between the first start and the end: the signals, the control socket, and the daemon of now."""

    def __init__(
        self,
        settings: Settings,
        locks: InboxLocks,
        *,
        once: bool,
        display: Display | None,
        reread: Callable[[], Settings] | None,
        hangup_reloads: bool,
    ) -> None:
        self._locks = locks
        self._settings, self._once, self._display = settings, once, display
        self._reread, self._hangup_reloads = reread, hangup_reloads
        self._activity = new_activity()
        self._bandwidth = Bandwidth(settings.timetable())
        self._notifier = Notifier()
        self._control = Control(
            self._activity, reload=self.reload, user_name=source.user_name, wall=time.time
        )
        self._daemon: Daemon | None = None
        self._stopping = False
        self._is_held = False  # since the last life that worked
        self._woken = asyncio.Event()
        self._next: Settings | None = None
        self._reloaded: asyncio.Future[Mapping[str, Any]] | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> RunSummary:
        loop = asyncio.get_running_loop()
        signals = {
            signal.SIGINT: self.stop,
            signal.SIGTERM: self.stop,
            signal.SIGHUP: self._hang_up if self._hangup_reloads else self.stop,
        }
        for number, act in signals.items():
            loop.add_signal_handler(number, act)
        try:
            async with AsyncExitStack() as stack:
                if not await self._take_state(stack):
                    return RunSummary(self._activity, {}, None)
                await asyncio.to_thread(keep_inboxes, self._settings, self._locks)
                await stack.enter_async_context(shown(self._activity, self._display))
                if not self._once:
                    await self._open_control(stack)
                return await self._live()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Ask for a clean end; asked a second time, leave at once."""
        if self._stopping:
            self._leave()
            return
        self._stopping = True
        self._woken.set()
        end_after(_STOP_WITHIN)
        self._refuse_reload(HotfolderError("the daemon is stopping"))
        if self._daemon is not None:
            self._daemon.stop()

    def _leave(self) -> None:
        """Interrupt every flight, and end within a second even where a thread hangs.

        What hangs is a call of a store or a disk, and a process that waits for its threads would wait
        as long; see `leaving`. What the recorder is writing gets this second, too.
        """
        if self._daemon is not None:
            self._daemon.hurry()
        log.warning("daemon.leaving", within=_LEAVE_WITHIN)
        end_after(_LEAVE_WITHIN)

    def _hang_up(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_unasked())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _reload_unasked(self) -> None:
        try:
            await self.reload()
        except HotfolderError as error:
            log.error("reload.refused", reason=str(error), hint=error.hint)

    # -- one life after another ------------------------------------------------------------------

    async def _open_control(self, stack: AsyncExitStack) -> None:
        server = ControlServer(self._settings.state_dir, self._control.answer)
        try:
            await stack.enter_async_context(server)
        except LocalError as error:  # files go their way without it
            log.error("control.unavailable", reason=str(error), hint=error.hint)

    async def _live(self) -> RunSummary:
        """Lives until there is no next one."""
        former: Settings | None = None
        while True:
            try:
                summary = await self._one_life()
            except ConfigError as error:
                if former is None:
                    raise
                # It read well and does not work. The former one did.
                log.error("reload.undone", reason=str(error), hint=error.hint)
                self._refuse_reload(error)
                self._settings, former = former, None
                self._bandwidth.follow(self._settings.timetable())
                continue
            except LocalError as error:
                if self._once:
                    raise
                await self._hold(error)
                if self._stopping:
                    return RunSummary(self._activity, {}, None)
                if self._next is not None:  # asked to reload meanwhile
                    former, self._settings, self._next = self._settings, self._next, None
                continue
            if self._stopping or self._next is None:
                return summary
            former, self._settings, self._next = self._settings, self._next, None
            self._activity.reloaded()

    async def _take_state(self, stack: AsyncExitStack) -> bool:
        """Make the state folder and lock it until `stack` ends; False if asked to stop before that."""
        folder, is_locked = self._settings.state_dir, False
        while True:
            try:
                mounts.require_local(folder)
                if folder.is_dir() and not is_locked:  # first: who holds it may tell what follows
                    stack.enter_context(StateLock(folder / "lock"))
                    is_locked = True
                prepare_state(self._settings)
                if not is_locked:
                    stack.enter_context(StateLock(folder / "lock"))
            except LocalError as error:
                if self._once:
                    raise
                await self._hold(error, beats=is_locked)  # else it may be another daemon's heartbeat
                if self._stopping:
                    return False
            else:
                return True

    async def _hold(self, error: LocalError, *, beats: bool = True) -> None:
        """This machine (a full disk, one that fails) lets no life begin: wait a while, and say so."""
        if not self._is_held:
            log.error("start.held", reason=str(error), hint=error.hint)
        self._is_held = True
        self._activity.phase = "disk-full" if isinstance(error, DiskFull) else "starting"
        self._activity.hold = error.sentence
        heartbeat = HeartbeatFile(self._settings.status_file, group_key=self._settings.status.group_key)
        self._notifier.ready()  # to systemd it is up: it waits, as for a missing inbox
        for _ in range(_HOLD):
            self._notifier.status(f"{self._activity.phase}: {error}")
            self._notifier.watchdog()
            with suppress(LocalError):  # it may stand on the very disk, and that was told
                if beats:
                    heartbeat.write(self._activity.snapshot(Waiting(), {}, {}))
            if self._stopping:
                break
            await wait_for(self._woken, 1.0)

    async def _one_life(self) -> RunSummary:
        settings = self._settings
        self._locks.keep_only({str(folder.inbox) for folder in settings.folders.values()})
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(
                engine(settings, activity=self._activity, bandwidth=self._bandwidth)
            )
            await made.recover_spool()
            known = stack.enter_context(memory(made))
            called_off = await made.called_off()
            parts = parts_of(
                made,
                known,
                called_off,
                once=self._once,
                notifier=self._notifier,
                locks=self._locks,
            )
            daemon = self._daemon = Daemon(parts, once=self._once, on_ready=self._is_ready)
            if self._stopping:
                daemon.stop()
            self._control.serve(daemon, made.io, partial(retry, settings))
            try:
                await daemon.run()
            finally:
                self._control.rest()
            made.leaves_requests = not self._once
            left = parts.heart.left()
            if unseen := made.recorder.put_off:
                why = (
                    f"{unseen} files that a former run had proven are not to be seen: mount their volume"
                )
                left[str(settings.state_dir)] = why
            return RunSummary(self._activity, left, trouble_of(parts) if self._once else None)

    # -- reload ------------------------------------------------------------------------------------

    async def reload(self) -> Mapping[str, Any]:
        """Read the configuration again and go on with it, in a new life of this process.

        Another `bandwidth` holds at once, and where nothing else is new there is no new life.
        Returns when that is ready. Raises `ConfigError` where the new one is faulty, and goes on with
        the old one.
        """
        if self._reread is None:
            raise HotfolderError("this run cannot be reloaded", hint="stop it and start it again")
        if self._stopping:
            raise HotfolderError("the daemon is stopping")
        if self._reloaded is not None or self._daemon is None:
            raise HotfolderError("it is starting or being reloaded already", hint="wait for that")
        done = self._reloaded = asyncio.get_running_loop().create_future()
        done.add_done_callback(_heard)
        self._notifier.reloading()
        try:
            settings = await asyncio.to_thread(self._reread)
            require_takeable(self._settings, settings)
            await asyncio.to_thread(rehearse, settings)
            await asyncio.to_thread(keep_inboxes, settings, self._locks, but=self._settings)
        except BaseException:
            self._reloaded = None
            self._notifier.ready()
            raise
        log.info("reload.begun", in_flight=len(self._activity.flights))
        self._bandwidth.follow(settings.timetable())
        if differ_in_bandwidth(settings, self._settings):
            self._settings = settings
            self._notifier.ready()
            self._is_ready()
        else:
            self._next = settings
            self._daemon.stop(reloading=True)
        return await asyncio.shield(done)

    def _is_ready(self) -> None:
        self._is_held = False
        done, self._reloaded = self._reloaded, None
        if done is not None and not done.done():
            log.info("reload.done", folders=list(self._settings.folders))
            done.set_result({"folders": list(self._settings.folders)})

    def _refuse_reload(self, error: HotfolderError) -> None:
        done, self._reloaded = self._reloaded, None
        if done is not None and not done.done():
            done.set_exception(error)


def retry(settings: Settings, request: Request) -> list[Retried]:
    """Put the failed files back that `request` means. Blocking; for whoever holds the state lock."""
    ways = {
        name: WayBack(str(folder.inbox), str(folder.failed), marker_of(folder))
        for name, folder in settings.folders.items()
    }
    return Retrying(open_ledger(settings).newest_first, hand_back, ways).run(request)


def _heard(done: "asyncio.Future[Mapping[str, Any]]") -> None:
    """Whoever asked may be gone; the log tells how it ended."""
    if not done.cancelled():
        done.exception()
