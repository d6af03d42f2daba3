"""The heartbeat as a picture: what `status` prints once, and what `status --watch` draws again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hotfolder.cli.bars import Bar, bars, nearer, row
from hotfolder.cli.output import ago, ahead, local_time, rate, reason_below, shorten, shown, size, span
from hotfolder.core.bandwidth import CLOSED

_LABEL = 10  # columns of the words at the left
_LESS = 6  # rows of groups and of what is left, where the screen is not endless
_LONGEST_GROUP = 40  # columns
_PASSING = {"unreachable", "throttled"}  # what a store gets over without anybody's doing
_PHASE_STYLES = {
    **dict.fromkeys(("uploading", "idle", "scanning", "starting"), "bold green"),
    **dict.fromkeys(("destination-unreachable", "inbox-missing", "disk-full"), "bold red"),
    **dict.fromkeys(("draining", "paused", "outside-window"), "bold yellow"),
}


@dataclass(frozen=True, slots=True)
class View:
    """All that the picture shows. `process`: whether the daemon's process exists; None: who knows."""

    state: Mapping[str, Any]
    stale: bool
    silence: float
    process: bool | None
    failures: Sequence[Mapping[str, Any]]  # newest first
    inboxes: Sequence[str]


def headline(view: View) -> Text:
    """The truth in one line: what the daemon does, or that it does nothing any more."""
    state = view.state
    if view.stale:
        fate = {
            True: f": process {state['pid']} still exists",
            False: f": process {state['pid']} is gone",
            None: "",
        }[view.process]
        text = f"no heartbeat for {span(view.silence)}: the daemon is likely dead{fate}"
        return Text(text, style="bold red")
    phase, style = state["phase"], _PHASE_STYLES.get(state["phase"], "bold")
    if phase == "stopped":
        return Text(f"stopped, {ago(state['last_update'])}", style="bold")
    if state["active"]:
        count = len(state["active"])
        files = "1 file" if count == 1 else f"{count} files"
        pace = f"{rate(state['bytes_per_second'])}, ETA of all {span(state['eta_seconds'])}"
        return Text(f"{phase}: {files} in flight, {pace}", style=style)
    if state["waiting"]["count"]:
        return Text(f"{phase}: {state['waiting']['count']} waiting", style=style)
    return Text(str(phase), style=style)


def advice(view: View) -> str:
    """What to do about a daemon that is likely dead; empty for any other."""
    if not view.stale:
        return ""
    return {
        True: "it is stuck, or the process is another by now; see its log",
        False: "start it again; what follows is the last that it told",
        None: f"it was process {view.state['pid']} on {shown(view.state['host'])}; look there",
    }[view.process]


def facts(view: View) -> list[tuple[str, Text]]:
    """(word at the left, what is so) of everything but the tables."""
    state = view.state
    totals = state["totals"]
    beat = "" if view.stale or state["phase"] == "stopped" else f", beat {ago(state['last_update'])}"
    since = f"process {state['pid']} on {shown(state['host'])}, started {ago(state['started_at'])}"
    delivered = (
        f"{totals['uploaded']} uploaded ({size(totals['bytes_uploaded'])}), "
        f"{totals['skipped']} skipped, {totals['failed']} failed"
    )
    return [
        ("daemon", Text(f"{since}{beat}")),
        ("last scan", Text(ago(state["last_scan"]))),
        *_watching(state),
        ("delivered", Text(delivered)),
        *_waiting(view),
        *_stores(state),
        *_paused(state),
        *_bandwidth(state),
        *_stuck(state),
        *([("hold", Text(shown(state["hold"]), style="red"))] if state["hold"] else []),
    ]


def _waiting(view: View) -> Iterable[tuple[str, Text]]:
    waiting, put_off = view.state["waiting"], view.state["put_off"]
    yield "waiting", Text(f"{waiting['count']} ({size(waiting['bytes'])})")
    if waiting["oldest"]:
        name = nearer(waiting["oldest"], view.inboxes)
        yield "  oldest", Text(f"{name}, {ago(waiting['since'])}")
        yield "", Text(shown(waiting["why"]))
    if kept := view.state.get("kept"):
        yield "kept", Text(f"{kept} delivered, and stay in the inbox as on_complete says")
    if put_off["count"]:
        first = put_off["first"][0]
        again = f"attempt {first['attempt']} {ahead(first['until'])}"
        yield "put off", Text(f"{put_off['count']}; next {nearer(first['path'], view.inboxes)}, {again}")
        yield "", Text(shown(first["why"]), style="yellow")


def _watching(state: Mapping[str, Any]) -> Iterable[tuple[str, Text]]:
    """Only what is out of the ordinary: parts that are polled, and what disturbs it."""
    for name, told in state.get("watching", {}).items():
        if told["polled"]["count"] and told["mode"] != "off":
            first = told["polled"]["first"][0]
            more = f", and {told['polled']['count'] - 1} more" if told["polled"]["count"] > 1 else ""
            where = f"{shown(name)}: {shown(first['path']) or 'the inbox'}{more}"
            yield "polled", Text(f"{where}, every {span(first['every'])} ({shown(first['why'])})")
        if told["trouble"] is not None:
            yield "watching", Text(f"{shown(name)}: {shown(told['trouble'])}", style="yellow")


def _stuck(state: Mapping[str, Any]) -> Iterable[tuple[str, Text]]:
    for step in state["stuck"]:
        yield "stuck", Text(f"{shown(step['about'])}, {ago(step['since'])} ({step['at']})", style="red")


def _paused(state: Mapping[str, Any]) -> Iterable[tuple[str, Text]]:
    paused = state["paused"]
    if paused is not None:
        told = f"{ago(paused['since'])} by {shown(paused['by'])}; `hotfolder resume` goes on"
        yield "paused", Text(told, style="yellow")


def _bandwidth(state: Mapping[str, Any]) -> Iterable[tuple[str, Text]]:
    told = state.get("bandwidth") or {"limit": None, "until": None}
    until = "" if told["until"] is None else f" until {local_time(told['until'])}"
    if told["limit"] == CLOSED:
        yield "bandwidth", Text(f"uploads wait{until}", style="yellow")
    elif told["limit"] is not None:
        yield "bandwidth", Text(f"at most {rate(told['limit'])}{until}")


def _stores(state: Mapping[str, Any]) -> Iterable[tuple[str, Text]]:
    several = state.get("destinations", {})
    if len(several) < 2:
        yield from _store(state["destination"])
        return
    for bucket, destination in several.items():
        yield from _store(destination, f"{shown(bucket)}: ")


def _store(destination: Mapping[str, Any], bucket: str = "") -> Iterable[tuple[str, Text]]:
    troubled = destination["last_error"] is not None
    style = "red" if troubled else ""
    yield (
        "store",
        Text(f"{bucket}{destination['state']}, since {ago(destination['since'])}", style=style),
    )
    if not troubled:
        return
    yield "", Text(shown(destination["last_error"]), style=style)
    if destination["hint"]:
        yield "", Text(shown(destination["hint"]))
    if destination["next_try"] is not None:
        yield "", Text(f"asks again {ahead(destination['next_try'])}, {_and_then(destination)}")


def _and_then(destination: Mapping[str, Any]) -> str:
    """Whether somebody has to do something: wrong addresses and missing rights stay as they are."""
    hint = destination["hint"] or ""
    by_configuration = "[destination]" in hint
    if destination["state"] in _PASSING and not by_configuration:
        return "and goes on by itself"
    reload = "; `hotfolder reload` takes a changed configuration" if by_configuration else ""
    return f"and goes on once this is mended{reload}"


def picture(view: View, width: int, height: int | None) -> list[RenderableType]:
    """For a terminal of `width` columns, and of `height` lines where it must not grow beyond."""
    told = facts(view)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_LABEL, no_wrap=True, style="dim")
    grid.add_column(width=width - _LABEL - 2, overflow="fold")
    for word, fact in told:
        grid.add_row(word, fact)
    drawn: list[RenderableType] = [_first_lines(view, width), grid]
    few = height is not None
    groups = _groups(view.state["groups"], _LESS if few else 50)
    left = _left(view, width, 3 if few else 20)
    failures = _failures(view, width, 3 if few else 5)
    taken = len(told) + len(groups) + len(left) + len(failures) + 5
    flights = _flights(view, width, max(3, height - taken) if height is not None else 20)
    for section in (flights, _as_table(groups, width), left, failures):
        if section:
            drawn += [Text(), *section]
    return drawn


def _first_lines(view: View, width: int) -> Table:
    """The headline, on more lines than one where the terminal is narrow, and the advice."""
    grid = Table.grid()
    grid.add_column(width=width, overflow="fold")
    grid.add_row(headline(view))
    if view.stale:
        grid.add_row(advice(view))
    return grid


def flight_rows(view: View) -> list[Bar]:
    """Those that move come first, then those that wait for their share of memory; oldest first."""
    flights = sorted(view.state["active"], key=lambda flight: flight["bytes"] == 0)
    return [row(flight, nearer(flight["path"], view.inboxes)) for flight in flights]


def _flights(view: View, width: int, most: int) -> list[RenderableType]:
    rows = flight_rows(view)
    if not rows:
        return []
    more = len(rows) - most
    rest = [Text(f"and {more} more", style="dim")] if more > 0 else []
    return [bars(rows[:most], width), *rest]


def group_rows(groups: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Name, planned, uploaded, skipped, failed, bytes: those at work first, then the last that ended."""
    busy_first = sorted(groups.items(), key=lambda each: -(each[1]["completed_at"] or float("inf")))
    counts = ("planned_files", "uploaded", "skipped", "failed")
    return [
        (shown(name), *(str(group[count]) for count in counts), size(group["bytes_uploaded"]))
        for name, group in busy_first
    ]


GROUP_HEADINGS = ("group", "planned", "uploaded", "skipped", "failed", "bytes")


def _groups(groups: Mapping[str, Mapping[str, Any]], most: int) -> list[tuple[str, ...]]:
    rows = group_rows(groups)
    rest = [(f"and {len(rows) - most} more", *[""] * 5)] if len(rows) > most else []
    return [GROUP_HEADINGS, *rows[:most], *rest] if rows else []


def _as_table(rows: Sequence[tuple[str, ...]], width: int) -> list[RenderableType]:
    if not rows:
        return []
    grid = Table.grid(padding=(0, 2))
    name = min(max(len(cells[0]) for cells in rows), max(12, min(_LONGEST_GROUP, width - 55)))
    grid.add_column(width=name, no_wrap=True)
    for _ in GROUP_HEADINGS[1:]:
        grid.add_column(justify="right", no_wrap=True)
    for number, cells in enumerate(rows):
        grid.add_row(shorten(cells[0], name), *cells[1:], style="" if number else "dim")
    return [grid]


def _left(view: View, width: int, most: int) -> list[RenderableType]:
    left = view.state["left"]
    if not left["count"]:
        return []
    lines: list[RenderableType] = [Text(f"left in the inbox for good: {left['count']}", style="yellow")]
    for entry in left["first"][:most]:
        name = shorten(nearer(entry["path"], view.inboxes), width - 2)
        lines += [Text(f"  {name}"), reason_below(entry["why"], width)]
    if more := left["count"] - len(left["first"][:most]):
        lines.append(Text(f"  and {more} more"))
    return lines


def _failures(view: View, width: int, most: int) -> list[RenderableType]:
    if not view.failures:
        return []
    lines: list[RenderableType] = [Text("last failures", style="red")]
    for entry in view.failures[:most]:
        name = shorten(nearer(entry["target_path"] or "", view.inboxes), width - 23)
        lines += [Text(f"  {local_time(entry['completed_at'])}  {name}")]
        lines += [reason_below(entry["error_message"], width)]
    return lines
