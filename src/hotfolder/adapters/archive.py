"""tar, as `tarfile` writes it: POSIX pax headers, nothing that differs between machines."""

import tarfile

from hotfolder.core.records import decimal_seconds
from hotfolder.core.tree import Kind, TreeEntry

_BLOCK = 512
_MTIME = slice(136, 148)
_CHKSUM = slice(148, 156)


class TarArchive:
    """One regular file as a tar archive. uid and gid are 0 and names empty, so that bytes repeat."""

    def head(self, name: str, *, size: int, mode: int, mtime_ns: int) -> bytes:
        """The headers of a member of `size` bytes; `mtime_ns` since the epoch is kept in full.

        No setuid, setgid or sticky bit: unpacked by root the file is root's own, whoever dropped it.
        """
        member = tarfile.TarInfo(name)
        member.size = size
        return _headers(member, mode, mtime_ns)

    def tail(self, size: int) -> bytes:
        """Padding to a whole block, and the two zero blocks that end an archive."""
        return bytes(-size % _BLOCK + 2 * _BLOCK)


class TreeTar:
    """`core.ports.Members`: a whole directory as a tar archive, below its own name."""

    end = bytes(2 * _BLOCK)

    def head(self, name: str, entry: TreeEntry) -> bytes:
        member = tarfile.TarInfo(f"{name}/{entry.relpath}" if entry.relpath else name)
        if entry.kind is Kind.FILE:
            member.size = entry.size
        else:
            member.type = tarfile.DIRTYPE if entry.kind is Kind.DIRECTORY else tarfile.SYMTYPE
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


def _headers(member: tarfile.TarInfo, mode: int, mtime_ns: int) -> bytes:
    member.mode = mode & 0o777
    member.pax_headers = {"mtime": decimal_seconds(mtime_ns)}
    blocks = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return blocks[:-_BLOCK] + _with_mtime(blocks[-_BLOCK:], mtime_ns // 1_000_000_000)


def _with_mtime(header: bytes, seconds: int) -> bytes:
    """The ustar header with whole seconds: `tarfile` leaves 0 there, and busybox reads no pax times."""
    if not 0 <= seconds < 8**11:
        return header
    block = bytearray(header)
    block[_MTIME] = b"%011o\0" % seconds
    block[_CHKSUM] = b" " * 8
    block[_CHKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)
