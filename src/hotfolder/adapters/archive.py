"""tar, as `tarfile` writes it: POSIX pax headers, nothing that differs between machines."""

import functools
import tarfile

from hotfolder.core.records import decimal_seconds
from hotfolder.core.tree import EntryKind, TreeEntry

_BLOCK = 512
_MTIME = slice(136, 148)
_CHKSUM = slice(148, 156)
_NAME = 100  # bytes that fit into the header
_NOBODY = b"0000000\0" * 2  # uid and gid 0
_MOST = 8**11  # what fits into eleven octal digits is less


class TarArchive:
    """One regular file as a tar archive. uid and gid are 0 and names empty, so that bytes repeat."""

    def head(self, name: str, *, size: int, mode: int, mtime_ns: int) -> bytes:
        """The headers of a member of `size` bytes; `mtime_ns` since the epoch is kept in full.

        No setuid, setgid or sticky bit: unpacked by root the file is root's own, whoever dropped it.
        """
        return _file_headers(name, size, mode, mtime_ns)

    def tail(self, size: int) -> bytes:
        """Padding to a whole block, and the two zero blocks that end an archive."""
        return bytes(-size % _BLOCK + 2 * _BLOCK)


class TreeTar:
    """`core.ports.Members`: a whole directory as a tar archive, below its own name."""

    end = bytes(2 * _BLOCK)

    def head(self, name: str, entry: TreeEntry) -> bytes:
        path = f"{name}/{entry.relpath}" if entry.relpath else name
        if entry.kind is EntryKind.FILE:
            return _file_headers(path, entry.size, entry.mode, entry.mtime_ns)
        member = tarfile.TarInfo(path)
        member.type = tarfile.DIRTYPE if entry.kind is EntryKind.DIRECTORY else tarfile.SYMTYPE
        member.linkname = entry.target
        return _headers(member, entry.mode, entry.mtime_ns)

    def padding(self, size: int) -> int:
        return -size % _BLOCK


class BareFile:
    """No archive: the packed stream holds the file's bytes and nothing else."""

    def head(self, name: str, *, size: int, mode: int, mtime_ns: int) -> bytes:  # noqa: ARG002 - the port's shape
        return b""

    def tail(self, size: int) -> bytes:  # noqa: ARG002 - the port's shape
        return b""


def _file_headers(name: str, size: int, mode: int, mtime_ns: int) -> bytes:
    """Of a regular file. `tarfile` takes as long for them as all the rest of a small file does, so what
    they are is filled into a form that it made once; it makes whatever does not fit there itself."""
    seconds, nanoseconds = divmod(mtime_ns, 1_000_000_000)
    if not (0 <= seconds < _MOST and size < _MOST and len(name) <= _NAME and name.isascii()):
        member = tarfile.TarInfo(name)
        member.size = size
        return _headers(member, mode, mtime_ns)
    mtime = b"%d.%09d" % (seconds, nanoseconds)
    before, after, behind, checksum = _form(len(mtime))
    start = b"%b%07o\0%b%011o\0%011o\0" % (
        name.encode().ljust(_NAME, b"\0"),
        mode & 0o777,
        _NOBODY,
        size,
        seconds,
    )
    return b"".join((before, mtime, after, start, b"%06o\0 " % (checksum + sum(start)), behind))


@functools.cache
def _form(digits: int) -> tuple[bytes, bytes, bytes, int]:
    """The headers of a member whose mtime has so many digits: the bytes before its mtime, between that
    and its name, and behind its checksum; and what all but its own fields add to the checksum."""
    mtime = b"1".ljust(digits - 10, b"0") + b".000000000"
    blocks = _headers(tarfile.TarInfo("x"), 0, int(mtime.replace(b".", b"")))
    before, after = blocks[:-_BLOCK].split(mtime)
    behind = blocks[-_BLOCK:][_CHKSUM.stop :]
    return before, after, behind, 8 * ord(" ") + sum(behind)


def _headers(member: tarfile.TarInfo, mode: int, mtime_ns: int) -> bytes:
    member.mode = mode & 0o777
    member.pax_headers = {"mtime": decimal_seconds(mtime_ns)}
    blocks = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return blocks[:-_BLOCK] + _with_mtime(blocks[-_BLOCK:], mtime_ns // 1_000_000_000)


def _with_mtime(header: bytes, seconds: int) -> bytes:
    """The ustar header with whole seconds: `tarfile` leaves 0 there, and busybox reads no pax times."""
    if not 0 <= seconds < _MOST:
        return header
    block = bytearray(header)
    block[_MTIME] = b"%011o\0" % seconds
    block[_CHKSUM] = b" " * 8
    block[_CHKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)
