"""What one store really does, as it was seen to do. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """None in a field: nobody has seen it yet, and the careful way is taken."""

    condition_on_put: bool | None = None
    condition_on_complete: bool | None = None


UNKNOWN = Profile()
