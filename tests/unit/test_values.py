"""Values: equal by their fields, usable as keys, and refused where one is misspelt."""

from dataclasses import replace

import pytest

from hotfolder.core.records import Digests


def test_a_value_is_equal_by_its_fields_and_may_be_a_key() -> None:
    one, same = (Digests(1, b"a", 2, b"b") for _ in range(2))
    assert {one: "there"}[same] == "there"
    assert replace(one, packed_size=3) != one
    assert one.packed_size == 2


def test_a_field_that_a_value_does_not_have_is_refused() -> None:
    with pytest.raises(AttributeError):
        setattr(Digests(1, b"a", 2, b"b"), "packed", b"")  # noqa: B010 - the type checker refuses the other
