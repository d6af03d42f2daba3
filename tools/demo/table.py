"""What was delivered, as a table: a row for each file, or one for all of a kind."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hotfolder.cli.output import LEFT, RIGHT, out, shown, size
from tools.demo.inputs import DIRECTORY, PROJECT, SMALL, Dropped
from tools.demo.proofs import Line

_SUMMED = {PROJECT, SMALL, DIRECTORY}
_WIDTH = 140  # where stdout is no terminal
_HEADINGS = {
    "what": LEFT,
    "file": LEFT,
    "original": RIGHT,
    "compressed": RIGHT,
    "ratio": RIGHT,
    "key": LEFT,
    "proof": LEFT,
}


def print_delivered(dropped: Iterable[Dropped], lines: Mapping[str, Line], *, every: bool) -> None:
    """Original and compressed size, ratio, key and proof; with `every`, a row for every file."""
    table = Table(box=None, pad_edge=False, width=None if out.is_terminal else _WIDTH)
    for heading, justify in _HEADINGS.items():
        table.add_column(
            heading, justify=justify, overflow="fold", no_wrap=heading not in {"file", "key"}
        )
    for what, group in groupby(dropped, lambda file: file.what):
        files = list(group)
        rows = [files] if what in _SUMMED and not every else [[file] for file in files]
        for row in rows:
            table.add_row(*map(Text, _cells(what, row, [lines[file.relpath] for file in row])))
    console = out if out.is_terminal else Console(width=_WIDTH, highlight=False)
    console.print(table)


def _cells(what: str, files: Sequence[Dropped], lines: Sequence[Line]) -> Sequence[str]:
    """One row: of a file, or the sums of several."""
    original = sum(line["original_size"] for line in lines)
    compressed = sum(line["compressed_size"] for line in lines)
    proofs = Counter(str(line["verification"]) for line in lines)
    one = len(files) == 1
    top = files[0].relpath.partition("/")[0]
    return (
        what,
        shown(files[0].relpath) if one else f"{top}/ ({len(files):,} files)",
        size(original),
        size(compressed),
        f"{original / compressed:.2f}",
        lines[0]["s3_object_key"] if one else f"{top}/… ({len(files):,} objects)",
        ", ".join(proof if one else f"{proof} {count:,}" for proof, count in proofs.items()),
    )
