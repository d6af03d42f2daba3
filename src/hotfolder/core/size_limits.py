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
            return (
                f"it has {size} bytes, and min_size is {self.least}: it is looked at again as it grows"
            )
        if self.most is not None and size > self.most:
            return f"it has {size} bytes, and max_size is {self.most}: split it, or raise the limit"
        return None
