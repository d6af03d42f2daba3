"""What a packed object holds: unpacked as it comes, in bounded memory, any gzip, zstd or tar's."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from hotfolder.core.errors import VerificationFailed
from hotfolder.core.ports import Body, Unpacker
from hotfolder.core.tar_reader import OneFile

_MOST = 1024 * 1024  # bytes unpacked at once
_SLICE = 1024  # bytes; zstandard has no bound, and 1 KiB unpacks to at most 32 MiB


class _Stream(Protocol):
    def feed(self, data: Body) -> Iterator[bytes | memoryview]: ...
    def finish(self) -> None: ...


class _Gzip:
    """Any number of members, one behind the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)

    def feed(self, data: Body) -> Iterator[bytes | memoryview]:
        rest = bytes(data)
        try:
            while rest:
                if self._member.eof:
                    self._member = zlib.decompressobj(31)
                piece = self._member.decompress(rest, _MOST)
                rest = self._member.unconsumed_tail or self._member.unused_data
                yield piece
        except zlib.error as error:
            raise VerificationFailed(f"this is no gzip: {error}") from error

    def finish(self) -> None:
        if not self._member.eof:
            raise VerificationFailed("the gzip stream is cut off")


class _Zstd:
    """Any number of frames, one behind the other."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def feed(self, data: Body) -> Iterator[bytes | memoryview]:
        try:
            for start in range(0, len(data), _SLICE):
                rest = bytes(data[start : start + _SLICE])
                while rest:
                    if self._frame.eof:
                        self._frame = zstandard.ZstdDecompressor().decompressobj()
                    piece = self._frame.decompress(rest)
                    rest = self._frame.unused_data
                    yield piece
        except zstandard.ZstdError as error:
            raise VerificationFailed(f"this is no zstd: {error}") from error

    def finish(self) -> None:
        if not self._frame.eof:
            raise VerificationFailed("the zstd stream is cut off")


class _Plain:
    def feed(self, data: Body) -> Iterator[bytes | memoryview]:
        yield data

    def finish(self) -> None:
        """Any bytes are whole."""


class _Chain:
    """`core.ports.Unpacker`: one stream inside the other."""

    def __init__(self, *streams: _Stream) -> None:
        self._streams = streams

    def feed(self, data: Body) -> Iterator[bytes | memoryview]:
        return self._through(data, 0)

    def finish(self) -> None:
        for stream in self._streams:
            stream.finish()

    def _through(self, data: bytes | memoryview, level: int) -> Iterator[bytes | memoryview]:
        if level == len(self._streams):
            yield data
            return
        for piece in self._streams[level].feed(data):
            yield from self._through(piece, level + 1)


def unpacker(name: str) -> Unpacker | None:
    """What unpacks the format `name` (as configured: tar.gz); None for one that nobody knows here."""
    makers: dict[str, tuple[type[_Stream], ...]] = {
        "tar.gz": (_Gzip, OneFile),
        "gz": (_Gzip,),
        "tar.zst": (_Zstd, OneFile),
        "zst": (_Zstd,),
        "none": (_Plain,),
    }
    return _Chain(*(make() for make in makers[name])) if name in makers else None
