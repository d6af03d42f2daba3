"""One value as one line of JSON: the form of the ledger and the heartbeat."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

# Made once: `json.dumps` with options builds an encoder for every call.
_READABLE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_ESCAPED = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def encode(value: Mapping[str, Any]) -> bytes:
    """`value` as compact JSON in UTF-8 without any newline; reading it back gives an equal value.

    Text stays readable. Where surrogates stand for undecodable bytes of a path (PEP 383), which UTF-8
    cannot carry, the whole line is written in ASCII with \\udcXX escapes. Raises `ValueError` or
    `TypeError` for what JSON cannot hold (NaN, bytes, objects).
    """
    plain = dict(value)
    try:
        return _READABLE.encode(plain).encode()
    except UnicodeEncodeError:
        return _ESCAPED.encode(plain).encode()


def spellings(text: str) -> set[bytes]:
    """How `text` may stand inside a string of a line that `encode` made."""
    written = {_ESCAPED.encode(text)[1:-1].encode()}
    with contextlib.suppress(UnicodeEncodeError):  # with undecodable bytes in it, the line is ASCII
        written.add(_READABLE.encode(text)[1:-1].encode())
    return written
