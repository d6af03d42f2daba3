"""Which group a file of a folder belongs to, or why none takes it. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

GroupBy = Literal["top-directory", "folder"]


@dataclass(frozen=True, slots=True)
class GroupRule:
    """What one group takes: names that end in one of `extensions`, and paths that `includes` accepts.

    No extensions: every name. `includes` gets the path below the inbox. Case makes no difference.
    """

    name: str
    extensions: tuple[str, ...] = ()
    includes: Callable[[str], bool] | None = None

    def takes(self, relpath: str) -> bool:
        """A directory ends in "/": it is taken whole, and so by nobody who wants certain names."""
        name = relpath.rpartition("/")[2].casefold()
        fits = not self.extensions or name.endswith(tuple(e.casefold() for e in self.extensions))
        return fits and (self.includes is None or self.includes(relpath))


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of one folder. Without `rules` every top directory is a group of its own accord."""

    folder: str
    by: GroupBy = "top-directory"
    rules: Sequence[GroupRule] = ()
    #: Everything belongs to this one (`upload --group`).
    forced: str | None = None

    def group_of(self, relpath: str) -> str:
        """The group of a file that `refusal` let pass; a directory ends in "/"."""
        if self.forced is not None:
            return self.forced
        if self.by == "folder":
            return next((rule.name for rule in self.rules if rule.takes(relpath)), self.folder)
        top, slash, _ = relpath.partition("/")
        return top if slash else self.folder

    def refusal(self, relpath: str) -> str | None:
        """Why no group takes this file, as a sentence for its owner; None if one does."""
        if not self.rules or self.forced is not None:
            return None
        if self.by == "folder":
            if any(rule.takes(relpath) for rule in self.rules):
                return None
            return f"no group of the folder {self.folder!r} takes it: {self._offers()}"
        group = self.group_of(relpath)
        rule = next((rule for rule in self.rules if rule.name == group), None)
        if rule is None:
            names = ", ".join(f"{rule.name}/" for rule in self.rules)
            return f"it belongs to no group: put it into one of {names}"
        if relpath.endswith("/"):
            return None  # whoever makes a directory of the group's name means all of it
        return None if rule.takes(relpath) else f"its group does not take it: {_offer(rule)}"

    def _offers(self) -> str:
        return "; ".join(_offer(rule) for rule in self.rules)


def _offer(rule: GroupRule) -> str:
    kinds = " ".join(rule.extensions) or "any name"
    return f"{rule.name} takes {kinds}{' of its patterns' if rule.includes else ''}"
