"""How hotfolder speaks to people: sizes, times, errors, and names that cannot break a line."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from hotfolder.core.errors import ConfigError, HotfolderError

Justify = Literal["left", "right"]
LEFT: Justify = "left"
RIGHT: Justify = "right"

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def shown(name: object) -> str:
    """A path as one printable line: control characters and undecodable bytes are escaped."""
    text = str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(path: str, width: int) -> str:
    """`path` in at most `width` columns: its middle gives way, the file's name stays if it fits."""
    if cell_len(path) <= width:
        return path
    start, slash, name = path.rpartition("/")
    room = width - cell_len(name) - 2  # for "…/"
    if slash and room >= 0:
        return f"{_head(start, room)}…/{name}"
    tail = max(1, (width - 1) * 2 // 3)
    return f"{_head(name, width - 1 - tail)}…{_tail(name, tail)}"


def _head(text: str, width: int) -> str:
    """As many first characters as fill at most `width` columns."""
    return set_cell_size(text, width).rstrip(" ") if cell_len(text) > width else text


def _tail(text: str, width: int) -> str:
    return _head(text[::-1], width)[::-1]


def brief(reason: object, width: int) -> str:
    """A reason in one line; a path in it that is longer than `width` loses its middle."""
    return " ".join(shorten(word, width) for word in shown(reason).split(" "))


def reason_below(reason: object, width: int, indent: int = 4) -> Table:
    """A reason below its file, on as many lines of `width` as it takes, none of them at the left."""
    grid = Table.grid()
    grid.add_column(width=indent)
    grid.add_column(overflow="fold", width=width - indent)
    grid.add_row("", Text(brief(reason, width - indent), style="dim"))
    return grid


def status_style(status: str) -> str:
    return {"success": "green", "failed": "red"}.get(status, "yellow")


def say(line: str, style: str = "") -> None:
    """One line on stdout; never read as markup."""
    out.print(Text(line, style=style))


def say_error(error: HotfolderError) -> None:
    """What happened, and what to do. Only a configuration's faults stand on lines of their own."""
    text = str(error)
    lines = text.split("\n") if isinstance(error, ConfigError) else [text]
    told = "\n".join(shown(line) for line in lines)
    err.print(Text(f"hotfolder: {told}", style="bold red" if err.is_terminal else ""))
    if error.hint:
        err.print(Text(f"  {shown(error.hint)}"))


def print_table(headings: Mapping[str, Justify], rows: Iterable[Sequence[Text | str]]) -> None:
    """A table that folds long cells on a terminal; elsewhere whole cells, separated by tabs."""
    if not out.is_terminal:
        for row in (tuple(headings), *rows):
            out.file.write("\t".join(str(cell) for cell in row) + "\n")
        return
    rigid = set(headings) - {"file", "why"}  # the rest is short
    table = Table(box=None, pad_edge=False)
    for heading, justify in headings.items():
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading in rigid)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def local_time(moment: str | float) -> str:
    """A ledger's timestamp, or seconds since the epoch, in the time of this machine, to the second."""
    try:
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else _of_epoch(moment)
        return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a file's time may be any number
        return f"{moment} s since 1970"


def _of_epoch(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def size(count: float | None) -> str:
    return "-" if count is None else decimal(int(count))


def rate(per_second: float) -> str:
    return f"{decimal(int(per_second))}/s"


def span(seconds: float | None) -> str:
    """A duration in the two largest units: 1h 5m, 3m 20s, 0.4s."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    told = [f"{count}{unit}" for count, unit in units if count]
    return " ".join(told[:2]) or "0s"


def ago(moment: float | None) -> str:
    return "-" if moment is None else f"{span(max(0.0, time.time() - moment))} ago"


def ahead(moment: float | None) -> str:
    """How long until `moment`, in seconds since the epoch."""
    if moment is None:
        return "-"
    seconds = moment - time.time()
    return f"in {span(seconds)}" if seconds >= 0.1 else "now"


def percent(done: int, whole: int) -> str:
    """Of an empty file all is done from the start; 100 % is never rounded up to."""
    return f"{100 * done // whole if whole else 100} %"


def is_terminal() -> bool:
    return sys.stderr.isatty()
