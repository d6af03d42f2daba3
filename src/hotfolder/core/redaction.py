"""What must not reach a log or a terminal as it is: secrets, and characters that break lines."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MASK = "***"

_SECRET_KEY = re.compile(r"secret|passw|token|authorization|accesskeyid|signature", re.IGNORECASE)

# Values end where a query, a header or a quoted string does; a quoted value is masked whole.
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'&,;<>)}\]]+)"""
_SECRETS_IN_TEXT = (
    # Presigned URLs and AWS4 headers: AWSAccessKeyId=, X-Amz-Signature=, Signature=, Credential=, ...
    re.compile(
        rf"((?:AWSAccessKeyId|Signature|Credential|X-Amz-Security-Token)[=>]){_VALUE}", re.IGNORECASE
    ),
    re.compile(
        r"""(authorization["']?\s*[:=]\s*b?["']?(?:(?:AWS4-HMAC-SHA256|AWS|Bearer|Basic|Digest)\s+)?)"""
        r"""[^\s"',;]+""",
        re.IGNORECASE,
    ),
    re.compile(rf"""((?:secret|passw|token)[\w.-]*["']?\s*[:=]\s*b?){_VALUE}""", re.IGNORECASE),
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
)

# Controls (C0, DEL, C1), line separators, marks and overrides of writing direction, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)

_ASCII_CONTROLS = bytes([*range(0x20), 0x7F])


def looks_secret(text: str) -> bool:
    """Whether `text` could hold a secret: cheap (a microsecond), for every line; may err with yes."""
    low = text.lower()
    # Spelt out: a loop or a pattern over the words costs several times as much.
    return (
        "secret" in low
        or "passw" in low
        or "token" in low
        or "authorization" in low
        or "accesskeyid" in low
        or "signature" in low
        or "credential=" in low
        or ("://" in low and "@" in low)
    )


def masked(value: Any) -> Any:
    """`value` with secrets replaced by `MASK`: below telling keys, and where texts spell them out.

    Mappings and sequences are copied through; None, booleans and numbers stay; any other object
    becomes its masked text.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, Mapping):
        return {key: masked_field(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(item) for item in value]
    return _masked_text(plain(value))


def masked_field(key: str, value: Any) -> Any:
    """`value` as the field `key` may show it: masked whole if the key says that it is a secret."""
    if _is_secret_key(key) and value is not None and not isinstance(value, bool):
        return MASK
    return masked(value)


def escape(text: str) -> str:
    """`text` with every control, direction mark and surrogate as a JSON escape, such as \\u001b."""
    # For every line of the log. `isprintable` takes several microseconds where most text is ASCII.
    if text.isascii():
        raw = text.encode()
        if len(raw.translate(None, _ASCII_CONTROLS)) == len(raw):
            return text
    elif text.isprintable():
        return text
    return _UNSAFE.sub(_escaped, text)


def plain(value: object) -> str:
    """The text of an object that JSON does not know: a path or bytes as they are, else its `repr`."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return repr(value)


@lru_cache(maxsize=512)
def _is_secret_key(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _masked_text(text: str) -> str:
    if not looks_secret(text):
        return text
    for pattern in _SECRETS_IN_TEXT:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
