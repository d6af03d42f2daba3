"""The one loop: whose turn comes first."""

from types import SimpleNamespace
from typing import cast

from hotfolder.daemon import Daemon, Parts


def test_another_folder_has_the_first_turn_each_time() -> None:
    present = ["a", "b", "c"]
    parts = SimpleNamespace(inboxes=SimpleNamespace(present=lambda: present))
    daemon = Daemon(cast(Parts, parts))
    turns = [cast(list[str], daemon._in_turn()) for _ in range(6)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert sorted(turn[0] for turn in turns) == ["a", "a", "b", "b", "c", "c"]
    present.remove("c")
    assert {cast(str, daemon._in_turn()[0]) for _ in range(2)} == {"a", "b"}
    present.clear()
    assert daemon._in_turn() == []
