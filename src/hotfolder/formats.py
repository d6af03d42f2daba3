"""What a file can be packed into."""

from dataclasses import dataclass

from hotfolder.core.ports import Archive, Codec


@dataclass(frozen=True, slots=True)
class Format:
    """What a file is packed into. `name` as configured ("tar.gz"), `ext` as in keys (".tar.gz")."""

    name: str
    ext: str
    content_type: str
    archive: Archive
    codec: Codec
    #: Whether the stream can say of itself what it holds; if not, metadata must, before the first byte.
    sealed: bool

    @property
    def recipe(self) -> str:
        """All that the bytes of the stream depend on beside the original and the segments."""
        return f"{self.name} {self.codec.recipe}"
