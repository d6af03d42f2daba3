"""What docs/ says is what the program does: pages made by `make docs`, and names in operations.md."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hotfolder
from docs import generate
from hotfolder import cli
from hotfolder.activity import Activity, Paused, Stuck, Waiting
from hotfolder.adapters.filters import builtin_patterns
from hotfolder.core import entries
from hotfolder.core.records import Status
from tests.bench.speed import report
from tests.bench.speed.results import from_json
from tests.support import samples
from tests.support.page import read_section

_OPERATIONS = (generate.DOCS / "operations.md").read_text()
_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")


@pytest.mark.parametrize("page", ["configuration.md", "commands.md"])
def test_a_generated_page_is_up_to_date(page: str) -> None:
    text = generate.PAGES[page]()
    assert (generate.DOCS / page).read_text() == text, f"docs/{page} is out of date: run `make docs`"


def section(chapter: str) -> str:
    """The text of a chapter of operations.md."""
    (text,) = re.findall(rf"(?ms)^## {chapter}$(.*?)(?=^## |\Z)", _OPERATIONS)
    return str(text)


def listed(chapter: str) -> list[str]:
    """The names in the first column of the tables of a chapter of operations.md."""
    cells = re.findall(r"(?m)^\| (`[^|]*) \|", section(chapter))
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_log_event_is_listed_and_nothing_else() -> None:
    names = listed("Log events")
    assert sorted(names) == sorted(set(events()))


def events() -> Iterator[str]:
    """Every event name in the source: the first argument of `log.…`, and the key "event" of a dict."""
    for path in Path(hotfolder.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log")), args=[first, *_]):
                    yield from names_in(first)
                case ast.Dict(keys=keys, values=values):
                    for key, value in zip(keys, values, strict=True):
                        if isinstance(key, ast.Constant) and key.value == "event":
                            yield from names_in(value)


def names_in(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if (
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and _EVENT.fullmatch(part.value)
        ):
            yield part.value


def test_every_heartbeat_field_is_listed_and_nothing_else() -> None:
    activity = Activity(version="1", pid=1, host="nas", clock=lambda: 1.0)
    activity.begin(samples.job())
    activity.set_destination("bucket", "ok")
    activity.paused = Paused(1.0, "alice")
    activity.put_off(samples.job("other"), "no answer", 2, 5.0)
    activity.watching = {"FOLDER": samples.watching()}
    activity.stuck = [Stuck("/srv/inbox/a", "io", 1.0)]
    snapshot = activity.snapshot(Waiting(), {}, {"/srv/inbox/link": "a symlink"})
    snapshot["groups"] = {"NAME": next(iter(snapshot["groups"].values()))}
    snapshot["destinations"] = {"BUCKET": next(iter(snapshot["destinations"].values()))}
    assert sorted(listed("Heartbeat")) == sorted(leaves(snapshot))


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """`totals.files`, `active[].stage`: every field that holds no other fields."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield from leaves(value[0], f"{path}[]")
    else:
        yield path


def test_every_ledger_field_is_listed_and_nothing_else() -> None:
    entry = entries.upload_entry(
        samples.job(),
        status=Status.SUCCESS,
        started_at=0.0,
        user=None,
        host="nas",
        mime_type=None,
        format="tar.gz",
    )
    assert listed("Ledger") == [*entry, "prev"]


def test_every_exit_code_is_listed_and_nothing_else() -> None:
    ours = {value for name, value in vars(cli).items() if name.startswith("EXIT_")}
    assert listed("Exit codes") == [str(code) for code in sorted({0, 2, *ours})]


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*generate.DOCS.glob("*.md"), generate.DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_builtin_pattern_is_listed() -> None:
    words = set(re.findall(r"`([^`]+)`", section("What is left alone")))
    for patterns in builtin_patterns().values():
        assert words >= set(patterns)


def test_the_figures_of_speed_are_those_of_the_last_run() -> None:
    results = from_json(json.loads((generate.DOCS / "speed.json").read_text()))
    again = (
        "not what docs/speed.json says: run `python -m tests.bench.speed --show docs/speed.json --write`"
    )
    assert read_section(report.DOCS / "speed.md", report.COMMAND, "figures") == report.page(results), (
        again
    )
    assert read_section(report.README, report.COMMAND, "figures") == report.readme(results), again
