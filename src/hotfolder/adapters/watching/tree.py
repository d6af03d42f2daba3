"""Which watch is on which directory. No I/O: the kernel names a watch by number, people by path."""

from collections.abc import Iterator


class Node:
    """A watched directory; owned by its `Tree`."""

    __slots__ = ("below", "name", "number", "parent", "seen")

    def __init__(self, parent: "Node | None", name: str, number: int) -> None:
        self.parent, self.name, self.number = parent, name, number
        self.below: dict[str, Node] | None = None  # most directories hold no others
        self.seen = 0  # the survey that met it last; less than any where it is to be looked into


class Tree:
    """The watched directories of one inbox; `root` is the number of the watch on the inbox itself."""

    def __init__(self, root: int) -> None:
        self.root = Node(None, "", root)
        self._nodes = {root: self.root}

    def __len__(self) -> int:
        return len(self._nodes)

    def at(self, number: int) -> Node | None:
        """The directory that the kernel calls `number`."""
        return self._nodes.get(number)

    def holds(self, node: Node) -> bool:
        """Whether `node` is still watched."""
        return self._nodes.get(node.number) is node

    def path(self, node: Node, name: str = "") -> str:
        """Relative to the inbox; with `name`, of what is in it."""
        names = [name] if name else []
        step: Node | None = node
        while step is not None and step.parent is not None:
            names.append(step.name)
            step = step.parent
        return "/".join(reversed(names))

    def find(self, relpath: str) -> Node | None:
        """The directory at a path."""
        node: Node | None = self.root
        for name in relpath.split("/") if relpath else ():
            node = (node.below or {}).get(name) if node is not None else None
        return node

    def put(self, parent: Node, name: str, number: int) -> tuple[Node, bool, list[int]]:
        """`number` is the watch on `parent`/`name`: a new one, or one that was elsewhere so far.

        Returns the node, whether it is new there, and the watches that stood there and do not count
        any more.
        """
        known, before = self._nodes.get(number), (parent.below or {}).get(name)
        if known is not None and known is before:
            return known, False, []
        dropped = self.cut(before) if before is not None else []
        if known is not None and self._is_below(parent, known):
            dropped += self.cut(known)  # a directory in itself: the picture is stale
        if not self.holds(parent):
            return Node(parent, name, number), False, [*dropped, number]
        if known is not None and self.holds(known):
            self._detach(known)
            known.parent, known.name = parent, name
            for each in self._subtree(known):
                each.seen = -1  # all that is in it has a new path
        else:
            known = self._nodes[number] = Node(parent, name, number)
        parent.below = {} if parent.below is None else parent.below
        parent.below[name] = known
        return known, True, [gone for gone in dropped if gone != number]

    def cut(self, node: Node) -> list[int]:
        """Forget a directory and all below it; returns their watches."""
        numbers = [each.number for each in self._subtree(node)]
        self._detach(node)
        for number in numbers:
            self._nodes.pop(number, None)
        return numbers

    def unseen(self, survey: int) -> list[Node]:
        """The directories that the survey did not meet."""
        return [node for node in self._nodes.values() if node.seen < survey and node.parent is not None]

    def _subtree(self, node: Node) -> Iterator[Node]:
        pending = [node]
        while pending:
            each = pending.pop()
            yield each
            pending.extend((each.below or {}).values())

    def _is_below(self, node: Node, place: Node) -> bool:
        step: Node | None = node
        while step is not None and step is not place:
            step = step.parent
        return step is place

    def _detach(self, node: Node) -> None:
        above = node.parent.below if node.parent is not None else None
        if above is not None and above.get(node.name) is node:
            del above[node.name]
