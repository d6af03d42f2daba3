"""What is wrong with a configuration, in sentences that name the key and the fix."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

#: pydantic's kinds of faults, where its own words are a programmer's.
_IN_WORDS = {
    "path_type": "write a path in quotes",
    "string_type": "write text in quotes",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be plain ASCII without spaces",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "byte_size": 'write a size such as "256MiB"',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "tuple_type": 'must be a list, as in ["*.bak"]',
}


def sentences(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    for fault in _own(error.errors()):
        where = ".".join(str(step) for step in fault["loc"])
        match fault["type"]:
            case "extra_forbidden":
                yield _unknown_key(fault["loc"], root)
            case "missing":
                table, _, key = where.rpartition(".")
                yield (
                    f'{where} is missing; add {key} = "…" under [{table}]'
                    if table
                    else (f"the table [{where}] is missing; `hotfolder config init` shows one")
                )
            case "value_error":
                yield f"{where}: {fault['ctx']['error']}" if where else str(fault["ctx"]["error"])
            case kind:
                given = fault["input"]
                shown = f" (it is {_as_written(given)})" if isinstance(given, str | int | float) else ""
                said = _IN_WORDS.get(kind) or f"{fault['msg'][:1].lower()}{fault['msg'][1:]}"
                yield f"{where}: {said}{shown}"


def _as_written(given: str | int | float) -> str:
    return str(given).lower() if isinstance(given, bool) else repr(given)


def _own(faults: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Without those that a folder has from [destination], where they are told already."""
    known = {(fault["type"], fault["loc"]) for fault in faults}
    for fault in faults:
        place = fault["loc"]
        shared = place[2:] if place[:1] == ("folders",) and place[2:3] == ("destination",) else None
        if (fault["type"], shared) not in known:
            yield fault


def _unknown_key(where: tuple[int | str, ...], root: type[BaseModel]) -> str:
    *parents, key = (str(step) for step in where)
    fields = _model_at(parents, root).model_fields
    known = [field.alias or name for name, field in fields.items()]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    meant = f"did you mean {near[0]}?" if near else "known here are " + ", ".join(sorted(known))
    table = f" in [{'.'.join(parents)}]" if parents else ""
    return f"there is no key {key}{table}; {meant}"


def _model_at(parents: list[str], root: type[BaseModel]) -> type[BaseModel]:
    """The model of the table that `parents` lead to; a table of tables is passed by its names."""
    model, inside_names = root, False
    for name in parents:
        if inside_names:
            inside_names = False
            continue
        annotation = model.model_fields[name].annotation
        choices = (annotation, *get_args(annotation))
        models = [a for a in choices if isinstance(a, type) and issubclass(a, BaseModel)]
        model, inside_names = models[-1], get_origin(annotation) in {dict, tuple}
    return model
