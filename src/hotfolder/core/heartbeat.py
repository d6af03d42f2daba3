"""The names of the heartbeat's fields that the operator chooses (`status.group_key`). Pure."""

from collections.abc import Mapping
from typing import Any

#: Fields of the heartbeat that are not to be hidden by a group key.
RESERVED = frozenset(
    {
        *("active", "destination", "destinations", "eta_seconds", "hold", "host", "last_scan"),
        *("last_update", "left", "paused", "phase", "pid", "put_off", "schema", "started_at", "totals"),
        *("version", "waiting", "watching"),
        *("bandwidth", "bytes_per_second", "current_file", "current_file_bytes", "current_file_size"),
    }
)


def current_key(group_key: str) -> str:
    """The field of the group that is under way: "reels" gives "current_reel"."""
    return f"current_{group_key.removesuffix('s')}"


def with_group_key(beat: Mapping[str, Any], group_key: str) -> dict[str, Any]:
    """`beat` with "groups" and "current_group" under the operator's names, in their places."""
    names = {"groups": group_key, "current_group": current_key(group_key)}
    return {names.get(field, field): value for field, value in beat.items()}


def without_group_key(beat: Mapping[str, Any], group_key: str) -> dict[str, Any]:
    """The inverse of `with_group_key`, for our own readers."""
    names = {group_key: "groups", current_key(group_key): "current_group"}
    return {names.get(field, field): value for field, value in beat.items()}
