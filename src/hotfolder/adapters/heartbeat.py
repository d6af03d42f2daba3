"""The heartbeat file: one line of JSON that says what the daemon is doing, replaced at every beat."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hotfolder import durable, fastline
from hotfolder.core.errors import LocalError
from hotfolder.core.heartbeat import with_group_key, without_group_key


class HeartbeatFile:
    """Writes `path`, readable by every user of the machine (mode 0644)."""

    def __init__(self, path: str | os.PathLike[str], *, group_key: str = "groups") -> None:
        self._path = Path(path)
        self._group_key = group_key

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file by `state`: a reader sees the old line or the new one, whole.

        Not fsynced: after a power cut the next start writes it anew. Raises `LocalError`.
        """
        line = fastline.encode(with_group_key(state, self._group_key)) + b"\n"
        durable.replace_file(self._path, line, mode=0o644, sync=False)


def read(path: str | os.PathLike[str], *, group_key: str = "groups") -> dict[str, Any] | None:
    """The last beat, or None where no daemon ever wrote one. Raises `LocalError` for anything else.

    Its groups are under "groups" and "current_group", whatever `group_key` calls them in the file.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return None  # no daemon ran yet
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
    return without_group_key(state, group_key)


def _no_heartbeat(path: str | os.PathLike[str]) -> LocalError:
    return LocalError(
        f"{os.fspath(path)} holds no heartbeat",
        hint="a running daemon replaces it within seconds (after a power cut it may be empty); "
        "if it stays, check `status.file`",
    )
