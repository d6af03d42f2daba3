"""UUIDv7 as RFC 9562 draws it."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.operation_id import uuid7

moments = st.integers(0, 2**48 - 1)
noise = st.binary(min_size=10, max_size=10)


def test_the_example_of_the_rfc() -> None:
    # RFC 9562, appendix A.6: rand_a = 0xCC3, rand_b = 0x18C4DC0C0C07398F, at 2022-02-22 19:22:22 UTC.
    random = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(0x017F22E279B0, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(moments, noise)
def test_version_variant_and_time_stand_where_they_belong(unix_ms: int, random: bytes) -> None:
    made = uuid.UUID(uuid7(unix_ms, random))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, unix_ms)


@given(moments, noise, noise)
def test_other_noise_makes_another_id(unix_ms: int, one: bytes, other: bytes) -> None:
    def used(random: bytes) -> int:
        return int.from_bytes(random, "big") & (1 << 74) - 1

    assert (uuid7(unix_ms, one) == uuid7(unix_ms, other)) == (used(one) == used(other))


@given(moments, moments, noise, noise)
def test_ids_sort_by_time(earlier: int, later: int, one: bytes, other: bytes) -> None:
    earlier, later = sorted((earlier, later))
    assert earlier == later or uuid7(earlier, one) < uuid7(later, other)


@pytest.mark.parametrize("unix_ms", [-1, 2**48])
def test_a_time_beyond_48_bits_is_refused(unix_ms: int) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        uuid7(unix_ms, bytes(10))


@pytest.mark.parametrize("count", [0, 9, 11])
def test_another_number_of_random_bytes_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="random bytes"):
        uuid7(0, bytes(count))
