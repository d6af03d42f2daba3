"""Taking the one file out of a tar stream that comes in pieces of any length. Pure."""

from collections.abc import Iterator

from hotfolder.core.errors import VerificationFailed

_BLOCK = 512
_SIZE = slice(124, 136)
_CHKSUM = slice(148, 156)
_TYPE = 156
_FILE, _EXTENDED = (b"0", b"\x00", b"7"), b"x"
_PASSED_OVER = (b"g", b"L", b"K")  # global headers, and GNU's long names
_MOST_EXTENDED = 1024 * 1024  # bytes of one file's extended header, or of a header passed over
_MOST_ZEROS = 16 * 1024 * 1024  # bytes behind the file: writers fill up a tape's record, none fills more
_MOST_DIGITS = 30


class OneFile:
    """The content of a tar archive's only file. Raises `VerificationFailed` for any other archive."""

    def __init__(self) -> None:
        self._held = bytearray()  # of the header that is being gathered
        self._wanted = _BLOCK
        self._is_extended = False  # what is being gathered
        self._size: int | None = None  # of the file, as its extended header has it
        self._content = 0  # bytes of the file that are still to come
        self._skip = 0  # bytes behind those that nobody needs
        self._found = False
        self._zeros = 0  # bytes

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """The pieces of the file's content that `data` holds."""
        view = memoryview(data)
        while view:
            if self._content:
                piece, view = view[: self._content], view[self._content :]
                self._content -= len(piece)
                yield piece
            elif self._skip:
                skipped = min(self._skip, len(view))
                self._skip -= skipped
                view = view[skipped:]
            else:
                room = self._wanted - len(self._held)
                self._held += view[:room]
                view = view[room:]
                if len(self._held) == self._wanted:
                    self._take(bytes(self._held))

    def finish(self) -> None:
        """The stream is over. Raises `VerificationFailed` where the file is not whole."""
        if not self._found or self._content or self._skip:
            raise VerificationFailed("the archive ends before its file does")
        if self._held:
            raise VerificationFailed("the archive ends within a block")

    def _take(self, block: bytes) -> None:
        self._held.clear()
        if self._is_extended:
            self._is_extended, self._wanted = False, _BLOCK
            self._size = _size_told(block)
        elif any(block):
            self._begin(block)
        else:
            self._zeros += _BLOCK
            if self._zeros > _MOST_ZEROS:
                raise VerificationFailed("the archive does not end behind its file")
        # Zeros end the archive; whatever follows must be zeros, too, or a member that is refused.

    def _begin(self, header: bytes) -> None:
        if _octal(header[_CHKSUM]) != sum(header) - sum(header[_CHKSUM]) + 8 * ord(" "):
            raise VerificationFailed("this is no tar archive")
        size, kind = _octal(header[_SIZE]), header[_TYPE : _TYPE + 1]
        if kind == _EXTENDED and 0 < size <= _MOST_EXTENDED:
            self._is_extended, self._wanted = True, size + -size % _BLOCK
        elif kind in _PASSED_OVER and size <= _MOST_EXTENDED:
            self._skip = size + -size % _BLOCK
        elif kind in _FILE and not self._found:
            self._found = True
            self._content = size if self._size is None else self._size
            self._skip = -self._content % _BLOCK
        else:
            raise VerificationFailed("the archive holds something else than one file")


def _octal(field: bytes) -> int:
    """A number of a header: octal digits, or base 256 (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \x00")
    if text.strip(b"01234567"):  # `int` would take a sign, too
        raise VerificationFailed("this is no tar archive")
    return int(text or b"0", 8)


def _size_told(extended: bytes) -> int | None:
    """What an extended header (POSIX pax: "LENGTH KEY=VALUE" and a newline) says of the size."""
    size = None
    while extended and extended[0]:
        length, _, _ = extended.partition(b" ")
        if not _is_number(length) or not 0 < int(length) <= len(extended):
            raise VerificationFailed("the archive's extended header is damaged")
        record, extended = extended[: int(length)], extended[int(length) :]
        key, _, value = record[len(length) + 1 :].rstrip(b"\n").partition(b"=")
        if key.startswith(b"GNU.sparse."):
            raise VerificationFailed("the archive's file has holes, and is not stored as it is")
        if key == b"size":
            if not _is_number(value):
                raise VerificationFailed("the archive's extended header is damaged")
            size = int(value)
    return size


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= _MOST_DIGITS
