"""Many rows in few statements."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import TypeVar

T = TypeVar("T")

#: Rows in one statement: few lengths, so that SQLite's prepared statements are found again.
_AT_ONCE = (64, 8, 1)


def insert(
    connection: sqlite3.Connection,
    into: str,
    rows: Sequence[tuple[object, ...]],
    otherwise: str = "",
) -> None:
    """`into` VALUES `rows` `otherwise`: all of them, in their order.

    `executemany` takes a step for each row, and lets go of the interpreter for each: a batch of the
    recorder waits for it a hundred times, and so does everybody who then waits for the batch.
    """
    for some in _runs(rows):
        marks = _marks(len(some), len(some[0]))
        connection.execute(f"{into} VALUES {marks} {otherwise}", [*chain.from_iterable(some)])


def delete(connection: sqlite3.Connection, table: str, column: str, values: Sequence[str]) -> None:
    """Delete the rows of `table` whose `column` is one of `values`, in few steps as `insert`."""
    for some in _runs(values):
        marks = _marks(1, len(some))
        connection.execute(f"DELETE FROM {table} WHERE {column} IN {marks}", some)  # noqa: S608 - names of ours


@cache
def _marks(rows: int, columns: int) -> str:
    """The places of so many values: (?, ?), (?, ?)."""
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


def _runs(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    begin = 0
    for count in _AT_ONCE:
        while len(rows) - begin >= count:
            yield rows[begin : begin + count]
            begin += count
