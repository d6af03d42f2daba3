"""What the doctor finds about limits of the kernel, decided from plain values."""

from dataclasses import dataclass

from hotfolder.core.bandwidth import Timetable
from hotfolder.core.checkup import Finding, State, counted

_USUAL_WATCHES, _USUAL_INSTANCES, _USUAL_QUEUE = 524_288, 1024, 16_384
_SYSCTL_FILE = "/etc/sysctl.d/60-hotfolder.conf"
_OWN_FILES = 64  # state, logs, the event loop: what is open whatever the load


@dataclass(frozen=True, slots=True)
class InotifyLimit:
    """One limit of inotify; in a user namespace (a container) the smaller one holds. None: unknown."""

    kernel: int | None
    namespace: int | None = None

    @property
    def value(self) -> int | None:
        return min((limit for limit in (self.kernel, self.namespace) if limit is not None), default=None)

    @property
    def is_namespace(self) -> bool:
        return self.kernel is not None and self.namespace is not None and self.namespace < self.kernel


def watches_finding(
    directories: int, limit: InotifyLimit, *, in_use: int, whole: bool = True
) -> Finding:
    """Every folder in an inbox takes one watch of inotify, from what this user may have in all."""
    name, most = "inotify.watches", limit.value
    numbers = {"needed": directories, "limit": most, "used_by_others": in_use}
    if most is None:
        return Finding(name, State.OK, "this kernel names no limit of watches", numbers=numbers)
    more = "" if whole else "at least "
    need = (
        f"{more}{counted(directories, 'folder')} to watch, {in_use} watched by other programs "
        f"of this user, who may watch {most}"
    )
    commands = _sysctl("watches", limit, directories + in_use, _USUAL_WATCHES)
    if directories + in_use > most or not whole:
        what = f"{need}: the others are polled"
        return Finding(name, State.WARNING, what, _raise_it(limit), commands, numbers)
    if directories + in_use > 0.8 * most:
        return Finding(name, State.WARNING, f"{need}: soon too few", _raise_it(limit), commands, numbers)
    return Finding(name, State.OK, need, numbers=numbers)


def instances_finding(folders: int, limit: InotifyLimit, *, in_use: int) -> Finding:
    """Every inbox takes one instance of inotify."""
    name, most = "inotify.instances", limit.value
    numbers = {"needed": folders, "limit": most, "used_by_others": in_use}
    allowed = "any number" if most is None else str(most)
    need = (
        f"{counted(folders, 'inbox', 'inboxes')} to watch, {in_use} inotify instances of other programs "
        f"of this user, who may have {allowed}"
    )
    if most is not None and folders + in_use > most:
        what = f"{need}: some inbox is polled, not watched"
        commands = _sysctl("instances", limit, folders + in_use, _USUAL_INSTANCES)
        return Finding(name, State.WARNING, what, _raise_it(limit), commands, numbers)
    return Finding(name, State.OK, need, numbers=numbers)


def queue_finding(limit: int | None) -> Finding:
    """How many events the kernel keeps while nobody reads them."""
    name, numbers = "inotify.queue", {"limit": limit}
    if limit is not None and limit < _USUAL_QUEUE:
        return Finding(
            name,
            State.WARNING,
            f"the kernel keeps {limit} events: a larger burst of files waits for the next scan",
            "raise it",
            _persistent("fs.inotify.max_queued_events", _USUAL_QUEUE),
            numbers,
        )
    known = "an unknown number of" if limit is None else str(limit)
    return Finding(name, State.OK, f"the kernel keeps {known} events of a burst", numbers=numbers)


def open_files_finding(limit: int, *, connections: int, flights: int, folders: int) -> Finding:
    """Both engines' connections and every file on its way take a descriptor."""
    needed = connections + flights + 2 * folders + _OWN_FILES
    numbers = {"limit": limit, "needed": needed}
    if limit >= needed:
        what = f"{limit} files may be open at once, {needed} are needed at most"
        return Finding("open_files", State.OK, what, numbers=numbers)
    return Finding(
        "open_files",
        State.WARNING,
        f"{limit} files may be open at once; under full load {needed} are needed",
        f"raise the limit (in a systemd unit: LimitNOFILE={_round_up(needed)}), "
        "or lower `requests` in [transfer]",
        (f"ulimit -n {_round_up(needed)}",),
        numbers,
    )


def _raise_it(limit: InotifyLimit) -> str:
    if limit.is_namespace:
        return "raise the limit of this user namespace (container), from inside it as its root"
    return "raise it, now and for every start of the machine"


def _sysctl(what: str, limit: InotifyLimit, needed: int, usual: int) -> tuple[str, ...]:
    value = max(usual, _round_up(2 * needed))
    if not limit.is_namespace:
        return _persistent(f"fs.inotify.max_user_{what}", value)
    inside = (f"echo {value} > /proc/sys/user/max_inotify_{what}",)
    if limit.kernel is not None and limit.kernel < needed:
        return (*inside, *_persistent(f"fs.inotify.max_user_{what}", value))
    return inside


def _persistent(key: str, value: int) -> tuple[str, ...]:
    return f"sudo sysctl {key}={value}", f"echo {key}={value} | sudo tee -a {_SYSCTL_FILE}"


def _round_up(value: int) -> int:
    """The next power of two."""
    return 1 << max(0, value - 1).bit_length()


def bandwidth_finding(timetable: Timetable) -> Finding | None:
    """A timetable that lets nothing go is allowed, and rarely meant."""
    if not timetable.never_opens:
        return None
    what = "transfer.bandwidth lets nothing be uploaded at any time: every file waits"
    return Finding("bandwidth", State.WARNING, what, 'leave hours without limit = "0"')
