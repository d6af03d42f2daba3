"""What the texts in [destination] have to be: each function returns the value, or says what is wrong.

All raise `ValueError` with a sentence that names the fix.
"""

import re
import unicodedata
from urllib.parse import urlsplit

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
