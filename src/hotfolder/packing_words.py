"""What the daemon and the process that packs small files say to each other."""

import functools
import pickle
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hotfolder.core.records import Digests, Fingerprint, Job
from hotfolder.formats import Format
from hotfolder.packed_file import PackedFile

_PACKED = struct.Struct("<Iq32s32s")  # size of the body, owner's uid, SHA-256 of original and body
_NOTHING = _PACKED.pack(0, 0, bytes(32), bytes(32))  # no stream is empty


class Wanted(NamedTuple):
    """One file to be packed as of the time `mtime_ns`."""

    job: Job
    form: Format
    mtime_ns: int


def question(files: Iterable[Wanted]) -> bytes:
    return pickle.dumps([_told(file) for file in files], pickle.HIGHEST_PROTOCOL)


def _told(file: Wanted) -> tuple[object, ...]:
    job, seen = file.job, file.job.fingerprint
    version = (seen.device, seen.inode, seen.size, seen.mtime_ns, seen.ctime_ns)
    return _pickled(file.form), job.root, job.relpath, version, file.mtime_ns


def read_question(message: bytes) -> list[Wanted]:
    """The jobs know no more than where their files are, and what these were."""
    # Only the daemon can write here; nothing that is read from files is ever unpickled.
    told = pickle.loads(message)  # noqa: S301
    return [
        Wanted(_job(root, relpath, version), _unpickled(form), mtime_ns)
        for form, root, relpath, version, mtime_ns in told
    ]


def _job(root: str, relpath: str, version: tuple[int, int, int, int, int]) -> Job:
    return Job("", "", "", root, relpath, "", Fingerprint(*version), 0.0)


@functools.lru_cache(maxsize=1000)  # the groups of all folders
def _pickled(form: Format) -> bytes:
    return pickle.dumps(form)


@functools.lru_cache(maxsize=1000)
def _unpickled(form: bytes) -> Format:
    made: Format = pickle.loads(form)  # noqa: S301 - as above
    return made


def answer(packed: Iterable[PackedFile | None]) -> bytes:
    """`packed` in the order of the question; None where that did not work."""
    return b"".join([piece for file in packed for piece in _pieces(file)])


def _pieces(file: PackedFile | None) -> Sequence[bytes]:
    if file is None:
        return (_NOTHING,)
    digests, body = file.digests, bytes(file.body)
    of_body = digests.packed_sha256 or b""
    return _PACKED.pack(len(body), file.owner, digests.original_sha256, of_body), body


def read_answer(message: bytes, files: Sequence[Wanted]) -> list[PackedFile | None]:
    """What was packed of `files`. Raises `ValueError` for what is no answer to their question."""
    read: list[PackedFile | None] = []
    at = 0
    try:
        for file in files:
            size, owner, of_original, of_body = _PACKED.unpack_from(message, at)
            at += _PACKED.size
            body = message[at : at + size]
            at += size
            digests = Digests(file.job.fingerprint.size, of_original, size, of_body)
            read.append(PackedFile(body, digests, owner) if size else None)
    except struct.error as error:
        raise ValueError("an answer that ends too early") from error
    if at != len(message):
        raise ValueError(f"an answer of {len(message)} bytes, where {at} were said")
    return read
