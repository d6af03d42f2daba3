"""The one expression for all patterns decides as pathspec does, path by path."""

import pathspec
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.adapters.filters import include_filter

WORDS = ["a", "b", "*", "*.tmp", "**", "a*", "?", "[ab]", "#x", "a b", "."]
PATTERNS = st.builds(
    lambda no, start, words, end: f"{no}{start}{'/'.join(words)}{end}",
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/", "**/"]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
NAMES = st.sampled_from(["a", "b", "ab", "x.tmp", "a b", "#x", "a\n", "\nb", "..."])
PATHS = st.builds(
    lambda names, end: "/".join(names) + end,
    st.lists(NAMES, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


@given(st.lists(PATTERNS, max_size=6), st.lists(PATHS, min_size=1, max_size=20))
def test_a_path_is_matched_if_and_only_if_git_would(patterns: list[str], paths: list[str]) -> None:
    spec, matches = pathspec.GitIgnoreSpec.from_lines(patterns), include_filter(patterns)
    assert [matches(path) for path in paths] == [spec.match_file(path) for path in paths]
