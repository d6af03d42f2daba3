"""The window of small requests: how it opens, and how it obeys a store that has enough."""

from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.window import Window


def filled(window: Window, successes: int) -> None:
    """So many requests, each well and begun while the window was full."""
    for _ in range(successes):
        window.begin()
        window.success(window.limit)


def test_it_opens_with_each_success_until_its_bound() -> None:
    window = Window(64, 256)
    filled(window, 100)
    assert window.limit == 164
    filled(window, 1000)
    assert window.limit == 256


def test_it_stays_where_it_is_not_used_up() -> None:
    window = Window(64, 256)
    for _ in range(1000):
        window.begin()
        window.success(63)
    assert window.limit == 64


def test_it_halves_once_for_all_that_was_under_way() -> None:
    window = Window(64, 256)
    numbers = [window.begin() for _ in range(64)]
    for number in numbers:
        window.trouble(number)
    assert window.limit == 32
    window.trouble(window.begin())
    assert window.limit == 16


def test_after_trouble_it_opens_slowly() -> None:
    window = Window(64, 256)
    window.trouble(window.begin())
    filled(window, 31)
    assert window.limit == 32
    filled(window, 1)
    assert window.limit == 33
    filled(window, 33)
    assert window.limit == 34


@given(first=st.integers(1, 256), times=st.integers(1, 4), told=st.lists(st.booleans(), max_size=300))
def test_it_never_leaves_its_bounds(first: int, times: int, told: list[bool]) -> None:
    window = Window(first, times * first)
    for is_well in told:
        number = window.begin()
        if is_well:
            window.success(window.limit)
        else:
            window.trouble(number)
        assert min(4, first) <= window.limit <= times * first
