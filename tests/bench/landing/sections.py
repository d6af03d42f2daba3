"""A section of the page: a table, what could not be tried, and what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Section:
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, row: list[str], wrong: str | None = None) -> None:
        assert len(row) == len(self.columns), row
        self.rows.append(row)
        if wrong is not None:
            self.wrong.append(wrong)

    def skip(self, name: str, reason: str) -> None:
        """A row that could not be tried here."""
        self.rows.append([name, f"not tried: {reason}", *("" for _ in self.columns[2:])])

    def join(self, other: "Section") -> None:
        self.rows += other.rows
        self.wrong += other.wrong

    def markdown(self) -> list[str]:
        return [
            f"| {' | '.join(self.columns)} |",
            f"|---|{'---:|' * (len(self.columns) - 1)}",
            *(f"| {' | '.join(row)} |" for row in self.rows),
        ]
