"""Writes configuration.md and commands.md from the program itself: `make docs`."""

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hotfolder import config
from hotfolder.cli import app

DOCS = Path(__file__).parent
_WIDTH = 90  # columns of a help text
_BY_HAND = "<!-- Written by `make docs`; change the program, not this file. -->"

#: Defaults that the models compute, or that another key decides.
_COMPUTED = {
    "state_dir": "`$STATE_DIRECTORY`, else `~/.local/state/hotfolder`",
    "completed": "`completed` beside the inbox",
    "failed": "`failed` beside the inbox",
    "workers": '`"cpu*4"`',
    "part_size": '`"auto"`',
    "reserve": '`"auto"`',
    "bandwidth": "empty",
}
#: What validators of config/ make of a text, by the name of the function.
_WRITTEN = {
    "seconds": "duration",
    "workers": 'number or `"cpu*N"`',
    "auto": '`"auto"` or size',
    "speed": "size a second",
    "_windows": "text, or list of tables with `days`, `from`, `to`, `limit`",
    "level": "`fast`, `balanced`, `small` or a number",
}
_NAMES = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    Path: "path",
    ByteSize: "size",
}


class NoDescriptionError(Exception):
    """A key or command that nobody described."""


def configuration() -> str:
    """The text of configuration.md."""
    _describe(config.Settings)
    top = config.Settings.model_fields
    if missing := ", ".join(_undescribed("", top)):
        raise NoDescriptionError(f"these keys have no docstring in config/: {missing}")
    lines = [_BY_HAND, *_CONFIGURATION_INTRODUCTION.splitlines(), ""]
    lines += ["## Top level", "", *_table({n: f for n, f in top.items() if _model(f) is None}), ""]
    for name, field in top.items():
        lines += _section(name, field)
    return "\n".join(lines).rstrip() + "\n"


def _describe(model: type[BaseModel]) -> None:
    """Give every key the docstring that stands below it in the source.

    pydantic's `use_attribute_docstrings` does that, too, with every start of every command: it takes a
    third of their time.
    """
    for base in reversed(model.__mro__):
        if base.__module__.startswith("hotfolder."):
            (stated,) = ast.parse(inspect.getsource(base)).body
            for key, text in pairwise(stated.body) if isinstance(stated, ast.ClassDef) else ():
                match key, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(meaning))),
                    ):
                        model.model_fields[name].description = inspect.cleandoc(meaning)
    for field in model.model_fields.values():
        if nested := _model(field):
            _describe(nested)


def _section(path: str, field: FieldInfo) -> Iterator[str]:
    """The chapters of a table and of the tables in it."""
    model = _model(field)
    if model is None:
        return
    if _is_named_table(field):
        path += ".NAME"
    yield from (f"## [{path}]", "", field.description or "", "")
    if path == "folders.NAME.destination":
        yield from ("The keys of [destination], where they differ for this folder.", "")
        return
    own = model.model_fields
    if path == "folders.NAME":
        yield from ("Every key of [defaults] may stand here, too.", "")
        own = {name: f for name, f in own.items() if name not in config.FolderKeys.model_fields}
    yield from (*_table({name: f for name, f in own.items() if _model(f) is None}), "")
    for name, nested in own.items():
        yield from _section(f"{path}.{name}", nested)


def _undescribed(path: str, fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        if not field.description:
            yield f"{path}{name}"
        model = _model(field)
        yield from _undescribed(f"{path}{name}.", model.model_fields) if model else ()


def _table(fields: dict[str, FieldInfo]) -> Iterator[str]:
    if fields:
        yield from ("| key | value | default | meaning |", "|---|---|---|---|")
    for name, field in fields.items():
        meaning = " ".join((field.description or "").split())
        cells = (f"`{name}`", _kind(field), _default(name, field), meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(field: FieldInfo) -> str:
    return _type_in_words(
        Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    )


def _type_in_words(annotation: Any) -> str:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin is Literal:
        return ", ".join(f"`{value}`" if value else "empty" for value in arguments)
    if origin in {Union, UnionType}:
        return " or ".join(_type_in_words(each) for each in arguments if each is not type(None))
    if origin in {tuple, list, frozenset, set}:
        return f"list of {_type_in_words(arguments[0])}"
    if origin is dict:
        return f"table of {_type_in_words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{each.value}`" for each in annotation)
    return _NAMES.get(annotation) or str(annotation)


def _annotated(base: Any, metadata: tuple[Any, ...]) -> str:
    for mark in metadata:
        written = _WRITTEN.get(getattr(getattr(mark, "func", None), "__name__", ""))
        if written is not None:
            return written
    limits = {
        name: getattr(mark, name)
        for mark in metadata
        for name in ("ge", "gt", "le")
        if hasattr(mark, name)
    }
    words = _type_in_words(base)
    if "ge" in limits and "le" in limits:
        return f"{words}, {limits['ge']} to {limits['le']}"
    return f"{words}, at least {limits['ge']}" if "ge" in limits else words


def _default(name: str, field: FieldInfo) -> str:
    if name in _COMPUTED:
        return _COMPUTED[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "none"
    if _kind(field) == "duration":
        return f'`"{_duration(value)}"`'
    if isinstance(value, ByteSize):
        rate = "/s" if _kind(field) == _WRITTEN["speed"] else ""
        return f'`"{value.human_readable(decimal=False, separator="").replace(".0", "")}{rate}"`'
    if isinstance(value, Path):
        value = str(value)
    return f"`{json.dumps(value)}`"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a key that is a table, or a table of tables; a list of tables is told by its key."""
    if get_origin(field.annotation) is tuple:
        return None
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def _is_named_table(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is dict


def commands() -> str:
    """The text of commands.md."""
    lines = [_BY_HAND, *_COMMANDS_INTRODUCTION.splitlines(), ""]
    for name, text in _helps(typer.main.get_command(app), "hotfolder"):
        lines += [f"## {name}", "", "```", text, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _helps(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """Whole name and help text of a command and of all below it."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    if not command.help:
        raise NoDescriptionError(f"the command {context.command_path} has no docstring")
    context.terminal_width = _WIDTH
    yield context.command_path, re.sub(r"(?m) +$", "", command.get_help(context)).strip()
    for below, subcommand in getattr(command, "commands", {}).items():
        yield from _helps(subcommand, below, context)


_CONFIGURATION_INTRODUCTION = """\
# Configuration

One file in TOML. `hotfolder config init` writes one with comments; `hotfolder config show` prints what
is in effect. An unknown key is an error that names the nearest known one.

The file is looked for in this order: `--config FILE`, `$HOTFOLDER_CONFIG`, `./hotfolder.toml`,
`~/.config/hotfolder/hotfolder.toml`, `/etc/hotfolder/hotfolder.toml`. Relative paths are relative
to the file.

The environment goes over the file: `HOTFOLDER_`, then the key with `__` between its parts, in capitals:
`HOTFOLDER_DESTINATION__BUCKET=my-archive`. Paths must be absolute there.

A duration is written `"250ms"`, `"5s"`, `"5m"`, `"1h30m"` or `"7d"`; a size `"8MiB"` or `"1GB"`."""

_COMMANDS_INTRODUCTION = """\
# Commands

What `--help` says of each. Exit codes are in [operations.md](operations.md#exit-codes)."""

PAGES = {"configuration.md": configuration, "commands.md": commands}


def main() -> int:
    for name, text in PAGES.items():
        try:
            (DOCS / name).write_text(text(), encoding="utf-8")
        except NoDescriptionError as error:
            sys.stderr.write(f"docs/{name} was not written: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
