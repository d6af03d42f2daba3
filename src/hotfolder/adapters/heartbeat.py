"""The heartbeat file: one line of JSON that says what the daemon is doing, replaced at every beat."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hotfolder import durable
from hotfolder.core import jsonline
from hotfolder.core.errors import LocalError


class HeartbeatFile:
    """Writes `path`, readable by every user of the machine (mode 0644)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file by `state`: a reader sees the old line or the new one, whole.

        Not fsynced: after a power cut the next start writes it anew. Raises `LocalError`.
        """
        durable.replace_file(self._path, jsonline.encode(state) + b"\n", mode=0o644, sync=False)


def read(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The last beat, or None where no daemon ever wrote one. Raises `LocalError` for anything else."""
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalError(
            f"cannot read the heartbeat {os.fspath(path)}: {reason}",
            hint="check that you may read the state folder, and `status.file` in the configuration",
        ) from error
    try:
        state = json.loads(text)
    except ValueError as error:
        raise _no_heartbeat(path) from error
    if not isinstance(state, dict):
        raise _no_heartbeat(path)
    return state


def _no_heartbeat(path: str | os.PathLike[str]) -> LocalError:
    return LocalError(
        f"{os.fspath(path)} holds no heartbeat",
        hint="a running daemon replaces it within seconds (after a power cut it may be empty); "
        "if it stays, check `status.file`",
    )
