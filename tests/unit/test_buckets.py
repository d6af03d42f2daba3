"""What the tests do with a store that makes no room any more."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.buckets import Buckets

BROKEN = ClientError({"Error": {"Code": "InternalError"}}, "PutObject")


class Store:
    """A store that takes `good` objects, and then none until it is started anew."""

    def __init__(self, good: int, heals: bool) -> None:
        self.left, self.heals, self.restarts = good, heals, 0

    def put_object(self, **_: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise BROKEN

    def create_bucket(self, **_: Any) -> None: ...
    def delete_object(self, **_: Any) -> None: ...

    def restart(self) -> None:
        self.restarts += 1
        self.left = 1000 if self.heals else 0


def test_a_store_that_makes_no_room_any_more_is_started_anew_once() -> None:
    store = Store(good=20, heals=True)
    buckets = Buckets(store, store.restart)
    names = [buckets.take() for _ in range(40)]
    assert len(set(names)) == 40
    assert store.restarts == 1


def test_what_a_new_start_does_not_heal_fails() -> None:
    store = Store(good=0, heals=False)
    with pytest.raises(ClientError):
        Buckets(store, store.restart).take()
    assert store.restarts == 1
