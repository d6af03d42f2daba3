"""The files of the spool: made whole or not at all, read with suspicion, taken away by name."""

import contextlib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

from hotfolder import durable
from hotfolder.core.errors import LocalError, VerificationFailed
from hotfolder.core.ports import Body
from hotfolder.core.room import Disk

_ID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
_OURS = re.compile(rf"(?:({_ID})|\.({_ID})\.tmp)")
_CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV})


class MakingFile:
    """`core.ports.Making`: hidden under a temporary name until it is whole."""

    def __init__(self, folder: Path, operation_id: str, size: int) -> None:
        self._path = folder / operation_id
        self._temporary = _temporary(folder, operation_id)
        self._written = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            raise durable.local_error("make", self._temporary, error) from error
        try:
            self.is_reserved = self._reserve(size)
        except LocalError:
            self.abandon()
            raise

    def _reserve(self, size: int) -> bool:
        try:
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            if error.errno in _CANNOT_RESERVE:
                return False
            raise durable.local_error("reserve space for", self._path, error) from error
        return True

    def write(self, chunk: Body) -> None:
        try:
            durable.write_all(self._descriptor, chunk)
        except OSError as error:
            raise durable.local_error("write", self._path, error) from error
        self._written += len(chunk)

    def finish(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._written)  # more was reserved
        except OSError as error:
            raise durable.local_error("write", self._path, error) from error
        durable.put_in_place(self._descriptor, self._temporary, self._path)
        os.close(self._descriptor)
        self._descriptor = -1

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with contextlib.suppress(OSError):  # the start takes it away
            os.unlink(self._temporary)


class ReadingFile:
    """`core.ports.Reading` on a descriptor."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path

    def read(self, offset: int, size: int) -> bytes:
        try:
            piece = os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise VerificationFailed(
                f"cannot read the packed file {self._path}: {error.strerror}",
                hint="it is packed again; check the disk",
            ) from error
        if len(piece) != size:
            raise VerificationFailed(
                f"the packed file {self._path} is cut off", hint="it is packed again"
            )
        return piece

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SpoolFolder:
    """`core.ports.SpoolFiles` in the folder `path`, which is made with the first file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def disk(self) -> Disk:
        self._prepare()
        try:
            found = os.statvfs(self.path)
        except OSError as error:
            raise durable.local_error("ask for the free space of", self.path, error) from error
        return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    def make(self, operation_id: str, size: int) -> MakingFile:
        self._prepare()
        return MakingFile(self.path, operation_id, size)

    def open(self, operation_id: str, size: int) -> ReadingFile | None:
        path = self.path / operation_id
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None  # it is packed again
        except OSError as error:
            raise durable.local_error("open the packed file", path, error) from error
        if os.fstat(descriptor).st_size != size:
            os.close(descriptor)
            return None
        return ReadingFile(descriptor, path)

    def discard(self, operation_ids: Iterable[str]) -> None:
        for operation_id in operation_ids:
            for path in (self.path / operation_id, _temporary(self.path, operation_id)):
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    continue  # it is away already
                except OSError as error:
                    raise durable.local_error("take away", path, error) from error

    def operation_ids(self) -> set[str]:
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise durable.local_error("look into", self.path, error) from error
        ours = (_OURS.fullmatch(name) for name in names)
        return {found[1] or found[2] for found in ours if found}

    def place(self, operation_id: str) -> str:
        return str(self.path / operation_id)

    def _prepare(self) -> None:
        if self.path.is_dir():
            return
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise durable.local_error("make the folder", self.path, error) from error
        durable.sync_directory(self.path.parent)


def _temporary(folder: Path, operation_id: str) -> Path:
    return folder / f".{operation_id}.tmp"
