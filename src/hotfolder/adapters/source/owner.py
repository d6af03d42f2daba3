"""Who an original belongs to."""

import functools
import pwd


@functools.lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """The account that owns a file, or its number where the account is unknown."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
