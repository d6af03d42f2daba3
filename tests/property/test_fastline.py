"""The fast encoder writes what the slow one does: whoever searches the ledger by bytes relies on it."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hotfolder import fastline
from hotfolder.core import jsonline

# As `os.fsdecode` makes it: characters, and the lone surrogates that stand for undecodable bytes.
texts = st.text(st.characters(codec="utf-8") | st.integers(0xDC80, 0xDCFF).map(chr), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(texts)
@example('\x00\x1f\x7f"\\/\b\f\n\r\t\u2028é🎬\udcff')
def test_text_has_the_same_bytes(text: str) -> None:
    assert fastline.encode({text: text}) == jsonline.encode({text: text})


@given(st.dictionaries(texts, values, max_size=5))
@example({"device": 2**64 - 1, "more": 2**70, "less": -(2**63) - 1})
def test_any_value_comes_back_equal_and_in_order(value: dict[str, Any]) -> None:
    line = fastline.encode(value)
    assert b"\n" not in line
    assert list(json.loads(line).items()) == list(value.items())
