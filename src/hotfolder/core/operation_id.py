"""Operation ids: UUID version 7 (RFC 9562), so that ids sort by the time they were made."""

RANDOM_BYTES = 10
"""How many random bytes `uuid7` takes; 74 of their 80 bits are used."""


def uuid7(unix_ms: int, random: bytes) -> str:
    """The UUIDv7 of `unix_ms` (milliseconds since the epoch) and `RANDOM_BYTES` random bytes.

    Ids of different milliseconds sort by time as text; within one millisecond the order is random.
    Raises `ValueError` for a time beyond 48 bits or another number of random bytes.
    """
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"{unix_ms} ms since the epoch do not fit into 48 bits")
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a UUIDv7 takes {RANDOM_BYTES} random bytes, not {len(random)}")
    noise = int.from_bytes(random, "big")
    rand_a = noise >> 62 & 0xFFF
    rand_b = noise & (1 << 62) - 1
    version, variant = 7, 0b10
    digits = f"{unix_ms << 80 | version << 76 | rand_a << 64 | variant << 62 | rand_b:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
