"""What the command line and the running daemon say to each other: one line of JSON each way. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hotfolder.core import jsonline
from hotfolder.core.errors import ConfigError, HotfolderError

PROTOCOL = 1
LONGEST_REQUEST = 65_536  # bytes: a path has at most 4,096
LONGEST_ANSWER = 16_777_216  # bytes


class Command(StrEnum):
    """What a running daemon can be asked for."""

    PAUSE = "pause"
    RESUME = "resume"
    SCAN = "scan"
    STATE = "state"
    WHY = "why"
    RELOAD = "reload"
    RETRY = "retry"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Request:
    """One command. `wanted` names a file (name, path or operation id); `group` or `everything` many."""

    command: Command
    wanted: str = ""
    group: str = ""
    everything: bool = False


def request_line(request: Request) -> bytes:
    """`request` as the daemon reads it."""
    return jsonline.encode({"version": PROTOCOL, **asdict(request)}) + b"\n"


def request_of(line: bytes) -> Request:
    """The inverse of `request_line`. Raises `HotfolderError` that says what is wrong with the line."""
    fields = _fields_of(line, "the request")
    version = fields.pop("version", None)
    if version != PROTOCOL:
        raise HotfolderError(
            f"the request speaks version {version!r} of the control protocol, the daemon {PROTOCOL}",
            hint="use the hotfolder that the daemon runs, or restart the daemon after an update",
        )
    try:
        command = Command(fields.pop("command", None))
    except ValueError as error:
        known = ", ".join(Command)
        raise HotfolderError("the request names no command of ours", hint=f"known: {known}") from error
    types = {"wanted": str, "group": str, "everything": bool}
    for name, value in fields.items():
        if name not in types or type(value) is not types[name]:
            raise HotfolderError(f"the request's field {name!r} is not known, or not of its type")
    return Request(command, **fields)


def answer_line(result: Mapping[str, Any]) -> bytes:
    """What was asked for is done; `result` says more."""
    return jsonline.encode({"version": PROTOCOL, "ok": True, "result": dict(result)}) + b"\n"


def refusal_line(error: HotfolderError) -> bytes:
    """What was asked for is not done, and why."""
    fields = {"error": str(error), "hint": error.hint, "config": isinstance(error, ConfigError)}
    return jsonline.encode({"version": PROTOCOL, "ok": False, **fields}) + b"\n"


def result_of(line: bytes) -> dict[str, Any]:
    """What `answer_line` wrote. Raises what `refusal_line` was told: `ConfigError` or its base."""
    fields = _fields_of(line, "the daemon's answer")
    if fields.get("ok") is True and isinstance(fields.get("result"), dict):
        return dict(fields["result"])
    kind = ConfigError if fields.get("config") is True else HotfolderError
    raise kind(str(fields.get("error", "the daemon refused")), hint=str(fields.get("hint", "")))


def _fields_of(line: bytes, what: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise HotfolderError(f"{what} is no JSON") from error
    if not isinstance(fields, dict):
        raise HotfolderError(f"{what} is no JSON object")
    return fields
