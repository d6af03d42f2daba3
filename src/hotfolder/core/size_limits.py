"""Which sizes of files a folder takes. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """Both in bytes and themselves taken; `most` None: any size."""

    least: int = 0
    most: int | None = None

    def refusal(self, size: int) -> str | None:
        """Why a file of `size` bytes is not taken, as a sentence for its owner; None if it is."""
        if size < self.least:
            what = f"its size, {_bytes(size)}, is below min_size ({_bytes(self.least)})"
            return f"{what}: it is looked at again as it grows"
        if self.most is not None and size > self.most:
            what = f"its size, {_bytes(size)}, is above max_size ({_bytes(self.most)})"
            return f"{what}: split it, or raise the limit"
        return None


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"
