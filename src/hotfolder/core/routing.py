"""Where a file's object goes: keys from templates, in names that any store takes. Pure."""

import datetime as dt
import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from hotfolder.core.errors import FileRejected
from hotfolder.core.records import Job

MAX_KEY_BYTES = 1024  # S3's limit, in UTF-8
MAX_SEGMENT_BYTES = 255  # what stores on a file system take between two slashes
_MAX_NAME_METADATA = 1400  # of S3's 2 KB for all user metadata

VARIABLES = frozenset(
    {
        "prefix",
        "folder",
        "group",
        "grouppath",
        "name",
        "stem",
        "relpath",
        "ext",
        "date",
        "timestamp",
        "sha256",
        "host",
    }
)
_IN_KEYS = frozenset(string.ascii_letters + string.digits + "-_/:+ ")  # of a date
_OWN = "vars."  # begins the variables that the operator made: {vars.project_key}
#: At least one of these must stand in a template, or all files would go to one key.
_NAMING = frozenset({"relpath", "grouppath", "name", "stem", "sha256"})
_SLASHES = re.compile("/{2,}")
_HEX_AHEAD = re.compile(rb"%(?=[0-9A-Fa-f]{2})")
_TO_ENCODE = re.compile("[\x00-\x1f\x7f-\x9f%\\\\\ud800-\udfff]")


def encode_path(path: str) -> str:
    """A surrogate-escaped path as UTF-8 text that every store takes and that maps back to one path.

    Control bytes, bytes that are no UTF-8, and backslashes (several stores take them for slashes)
    become %XX; so does a "%" that would otherwise read as such an escape. Different paths therefore
    never give the same text.
    """
    if _TO_ENCODE.search(path) is None:  # nearly every path: it is asked three times a file
        return path
    raw = _HEX_AHEAD.sub(b"%25", path.encode("utf-8", "surrogateescape"))
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(_encode_character(character) for character in text)


def _encode_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"%{code - 0xDC00:02X}"
    if code < 0x20 or 0x7F <= code <= 0x9F or character == "\\":
        return "".join(f"%{byte:02X}" for byte in character.encode())
    return character


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """A validated key template. Make it with `parse_template`."""

    text: str
    variables: tuple[tuple[str, str, str], ...]  # (literal before, variable, its format)

    def names(self) -> frozenset[str]:
        """The variables that stand in it."""
        return frozenset(variable for _, variable, _ in self.variables if variable)

    def own_variables(self) -> frozenset[str]:
        """The NAME of each {vars.NAME} in it."""
        return frozenset(name.removeprefix(_OWN) for name in self.names() if name.startswith(_OWN))


def parse_template(text: str) -> KeyTemplate:
    """Parse and check a key template; raises `ValueError` with a sentence that names the fix."""
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"key template {text!r}: {error}; write each variable as {{name}}") from error
    pieces: list[tuple[str, str, str]] = []
    for literal, variable, spec, conversion in parsed:
        own = variable is not None and variable.startswith(_OWN) and variable != _OWN
        if variable is not None and not own and (variable not in VARIABLES or conversion):
            known = ", ".join(f"{{{name}}}" for name in sorted(VARIABLES))
            raise ValueError(f"key template {text!r}: there is no {{{variable}}}; known are {known}")
        if spec and variable != "date":
            raise ValueError(f"key template {text!r}: only {{date:...}} takes a format")
        if spec and not _IN_KEYS.issuperset(dt.datetime(2000, 1, 1, tzinfo=dt.UTC).strftime(spec)):
            raise ValueError(
                f"key template {text!r}: {{date:{spec}}} must make letters, digits, '-', '_' or '/'"
            )
        pieces.append((literal, variable or "", spec or ""))
    if not _NAMING & {variable for _, variable, _ in pieces}:
        raise ValueError(
            f"key template {text!r} gives every file one key; add {{relpath}}, {{grouppath}} or {{name}}"
        )
    segments = [segment for literal, _, _ in pieces for segment in literal.split("/")]
    if "." in segments or ".." in segments or "\\" in text or "//" in text:
        raise ValueError(
            f"key template {text!r}: leave out '.', '..', '//' and '\\'; many stores refuse them"
        )
    return KeyTemplate(text, tuple(pieces))


@dataclass(frozen=True, slots=True)
class Route:
    """How the files of one folder become keys. `prefix` has no slash at its ends; `ext` has its dot."""

    folder: str
    template: KeyTemplate
    prefix: str
    ext: str
    host: str
    own: Mapping[str, str] = field(default_factory=dict)
    by_directory: bool = True

    @property
    def needs_sha256(self) -> bool:
        """Whether a file must be read and hashed before its key is known."""
        return "sha256" in self.template.names()

    def key(self, job: Job, sha256: bytes | None = None) -> str:
        """The key of a job's object. Raises `FileRejected` where it would pass S3's 1,024 bytes.

        `sha256` is that of the original, where `needs_sha256`.
        """
        key = ""
        for literal, variable, spec in self.template.variables:
            key += literal
            if variable:  # only what stands in the template is worked out
                key += self._value(variable, spec, job, sha256)
        # An empty prefix leaves its slash behind; many stores refuse "//". No path has one of its own.
        return self._checked(_SLASHES.sub("/", key).lstrip("/"), job, self.ext)

    def _value(self, variable: str, spec: str, job: Job, sha256: bytes | None) -> str:
        """What `variable` is of this job."""
        match variable:
            case "prefix" | "folder" | "ext" | "host":
                return str(getattr(self, variable))
            case "relpath":
                return encode_path(job.relpath)
            case "group":
                return encode_path(job.group)
            case "grouppath":
                return encode_path(group_path(job.relpath) if self.by_directory else job.relpath)
            case "name":
                return encode_path(job.name)
            case "stem":
                return _stem(encode_path(job.name))
            case "date":
                return _moment(job).strftime(spec or "%Y/%m/%d")
            case "timestamp":
                return _moment(job).strftime("%Y%m%d_%H%M")
            case "sha256":
                return sha256.hex() if sha256 is not None else ""
        return self.own[variable.removeprefix(_OWN)]

    def alternative(self, key: str, job: Job) -> str:
        """The key for a file whose own key is taken by other content: "~operation" before the suffix."""
        stem = key.removesuffix(self.ext) if self.ext else key
        suffix = f"~{job.operation_id}{self.ext if stem != key else ''}"
        above, slash, last = stem.rpartition("/")
        # The operation makes it unique: its name may give way, so that every key has an alternative.
        room = MAX_KEY_BYTES - len(f"{above}{slash}{suffix}".encode())
        last = last.encode()[: max(room, 0)].decode("utf-8", "ignore")
        return self._checked(f"{above}{slash}{last}{suffix}", job, suffix)

    def fixed_start(self) -> str:
        """The part of every key of this folder that no file can change."""
        start = ""
        for literal, variable, _ in self.template.variables:
            start += literal
            known = {"prefix": self.prefix, "folder": self.folder, "host": self.host}
            known |= {f"{_OWN}{name}": value for name, value in self.own.items()}
            if variable not in known:
                break
            start += known[variable]
        return start.lstrip("/")

    def _checked(self, key: str, job: Job, suffix: str) -> str:
        if len(key) <= MAX_SEGMENT_BYTES and key.isascii():
            return key  # all of it is shorter than a segment may be
        *parents, last = key.split("/")
        key = "/".join([*(shorten(parent) for parent in parents), shorten(last, suffix)])
        size = len(key.encode())
        if size > MAX_KEY_BYTES:
            raise FileRejected(
                f"the key of {job.path} would have {size} bytes, S3 takes {MAX_KEY_BYTES}",
                hint="shorten the folder or file names, or the key template",
            )
        return key


def _moment(job: Job) -> dt.datetime:
    return dt.datetime.fromtimestamp(job.made_at, dt.UTC)


def _stem(name: str) -> str:
    """`name` without its last suffix, but all of it where only dots would be left."""
    stem = name.rpartition(".")[0]
    return stem if stem.strip(".") else name


def shorten(segment: str, suffix: str = "") -> str:
    """A key segment of at most 255 bytes: a longer one keeps its start, a digest, and `suffix`.

    S3 has no such limit, but stores that keep keys as file names do (SeaweedFS, MinIO), and a name
    of 255 bytes is legal in the inbox. The whole name stands in the metadata and in the archive.
    """
    raw = segment.encode()
    if len(raw) <= MAX_SEGMENT_BYTES:
        return segment
    digest = f"~{hashlib.sha256(raw).hexdigest()[:16]}"
    start = segment.removesuffix(suffix).encode()
    room = MAX_SEGMENT_BYTES - len((digest + suffix).encode())
    return start[:room].decode("utf-8", "ignore") + digest + suffix


def could_collide(one: Route, other: Route) -> bool:
    """Whether two folders could make the same key: one's fixed start leads into the other's."""
    a, b = one.fixed_start(), other.fixed_start()
    return a.startswith(b) or b.startswith(a)


def group_path(relpath: str) -> str:
    """The path below the group: without the top directory, or the name for a file at the top."""
    top, slash, rest = relpath.partition("/")
    return rest if slash else top


def name_metadata(relpath: str) -> str:
    """`hotfolder-name`: the path percent-encoded as ASCII, or its last part where that is too long."""
    encoded = quote(relpath.encode("utf-8", "surrogateescape"))
    return encoded if len(encoded) <= _MAX_NAME_METADATA else encoded.rpartition("/")[2]
