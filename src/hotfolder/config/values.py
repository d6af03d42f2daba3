"""What the values of a configuration have to be: each function returns the value, or says what is wrong.

All raise `ValueError` with a sentence that names the fix.
"""

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    ByteSize,
)

from hotfolder.core.heartbeat import RESERVED
from hotfolder.core.marker import MarkerName
from hotfolder.core.routing import encode_path, parse_template

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).replace(" ", "")
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise ValueError(f'{value!r} is no duration; write "5s", "250ms", "5m" or "1h30m"')
    return sum(float(number) * _UNITS[unit] for number, unit in found)


def duration_text(seconds: float) -> str:
    return f"{seconds:g}s"


def lasting(least: float) -> AfterValidator:
    def check(value: float) -> float:
        if not value >= least:
            raise ValueError(
                f"{duration_text(value)} is too short; write {duration_text(least)} or more"
            )
        return value

    return AfterValidator(check)


def template(text: str | None) -> str | None:
    if text is not None:
        parse_template(text)
    return text


def marker(text: str) -> str:
    MarkerName(text)
    return text


def patterns(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value.strip() or "\n" in value:
            raise ValueError(f"{value!r} is no pattern; write one as in .gitignore")
    return values


def workers(value: object) -> int:
    text = str(value).replace(" ", "")  # the environment gives numbers as text
    if text.isdigit() and int(text) > 0:
        return int(text)
    factor = re.fullmatch(r"cpu(?:\*([1-9]\d*))?", text)
    if factor is None:
        raise ValueError(f'{value!r} is no number of threads; write a number, "cpu" or "cpu*4"')
    return (os.cpu_count() or 1) * int(factor[1] or 1)


def speed(value: object) -> object:
    """As a size; the second that it belongs to is optional."""
    return value.strip().removesuffix("/s") if isinstance(value, str) else value


def auto(value: object) -> object:
    return None if value == "auto" else value


def level(value: str | int | None) -> str | int | None:
    if isinstance(value, str) and value.isdigit():
        return int(value)  # the environment gives numbers as text
    if isinstance(value, str) and value not in {"fast", "balanced", "small"}:
        raise ValueError(f'{value!r} is no level; write "fast", "balanced", "small" or a number')
    return value


def at_least(least: int, words: str) -> AfterValidator:
    def check(value: ByteSize | None) -> ByteSize | None:
        if value is not None and value < least:
            raise ValueError(f"{value} bytes are too few; at least {words}")
        return value

    return AfterValidator(check)


def group_key(word: str) -> str:
    if not re.fullmatch("[a-z][a-z_]*", word) or word in RESERVED:
        raise ValueError(f'{word!r} cannot name the groups; write a plural word such as "reels"')
    return word


def extensions(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value.startswith(".") or "/" in value or len(value) < 2:
            raise ValueError(f'{value!r} is no extension; write it with its dot, as in ".mp4"')
    return values


def variable(value: str) -> str:
    """A value of [vars] becomes a part of keys."""
    if not value.strip("/") or not {".", "..", ""}.isdisjoint(value.strip("/").split("/")):
        raise ValueError(f"{value!r} cannot stand in a key; leave out '.', '..' and '//'")
    return encode_path(value.strip("/"))


_MOST_TAGS, _TAG_NAME, _TAG_VALUE = 10, 128, 256  # S3's limits; lengths in characters

_DNS_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3's rule since 2018


def endpoint(url: str) -> str:
    keys = "give keys with `auth` and `credentials_file`"
    return _address(url, 'no address of a store; write "https://s3.example.com"', instead=keys)


def proxy(url: str) -> str:
    open_one = "use a proxy that asks for none"
    url = _address(url, 'no address of a proxy; write "http://proxy.example.com:3128"', instead=open_one)
    if url and urlsplit(url).path:
        raise ValueError(f"{url!r} names a path; a proxy has only a host and a port")
    return url


def _address(url: str, otherwise: str, *, instead: str) -> str:
    """The URL without its last slash. A fault of one that may hold a password never repeats it."""
    if "@" in url:
        raise ValueError(f"an address holds no user and no password; {instead}")
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        whole = False
    if url and not whole:
        raise ValueError(f"{url!r} is {otherwise}")
    return url.rstrip("/")


def bucket(name: str) -> str:
    if "://" in name:
        raise ValueError(f'{name!r} is an address; write the name alone, as in bucket = "my-archive"')
    # Older and compatible stores take more than S3 does now; these are the names that botocore sends.
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}|arn:[\w:/.-]+", name, re.ASCII):
        raise ValueError(
            f"{name!r} is no name of a bucket: it has letters, digits, dots and hyphens; "
            "what comes behind a slash belongs in prefix"
        )
    return name


def prefix(text: str) -> str:
    segments = [segment for segment in text.split("/") if segment]
    for segment in segments:
        if segment in {".", ".."}:
            raise ValueError(
                f"{text!r} has the segment {segment!r}, which many stores refuse; leave it out"
            )
    if not text.isprintable():
        raise ValueError(f"{text!r} has characters that cannot be printed; leave them out")
    return "/".join(segments)


def tags(given: dict[str, str]) -> dict[str, str]:
    """Tags that S3 takes; another would be refused with every single object."""
    if len(given) > _MOST_TAGS:
        raise ValueError(
            f"these are {len(given)} tags, and an object takes {_MOST_TAGS}; leave some out"
        )
    for name, value in given.items():
        if not 1 <= len(name) <= _TAG_NAME or len(value) > _TAG_VALUE:
            raise ValueError(
                f"the tag {name!r} is too long or empty; "
                f"a tag has a key of 1 to {_TAG_NAME} characters, and a value of at most {_TAG_VALUE}"
            )
        for text in (name, value):
            odd = [c for c in text if c not in "+-=._:/@" and unicodedata.category(c)[0] not in "LNZ"]
            if odd:
                raise ValueError(
                    f"the tag {name!r} has {odd[0]!r}; "
                    "tags take letters, digits, spaces and + - = . _ : / @"
                )
        if name.lower().startswith("aws:"):
            raise ValueError(f"the tag {name!r} begins with aws:, which is AWS's own; rename it")
    return given


def keyring_entry(name: str) -> str:
    service, _, username = name.rpartition("/")
    if not (service and username):
        raise ValueError(f'{name!r} is no entry of a keyring; write "SERVICE/USERNAME"')
    return name


def file_name(name: str) -> str:
    if "/" in name or name in {".", ".."}:
        raise ValueError(f"{name!r} is a path; write the name that LoadCredential= has before its colon")
    return name


def is_host_name(name: str) -> bool:
    """Whether a bucket's name can stand before the store's in a host name."""
    return _DNS_NAME.fullmatch(name) is not None


def absolute(path: Path) -> Path:
    # From the file it is absolute already; one from the environment has nothing to start from.
    if not path.is_absolute():
        raise ValueError(f"{path} is a relative path; in the environment write an absolute one")
    return path
