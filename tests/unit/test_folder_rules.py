"""What the settings of a folder become."""

from hotfolder.config.folders import RouteKeys
from hotfolder.folder_rules import format_of


def test_groups_that_ask_for_the_same_format_have_one() -> None:
    """What a codec says of its engine takes milliseconds to find out, and anybody may make groups."""
    gzip, again = format_of(RouteKeys(tags={"a": "1"})), format_of(RouteKeys(storage_class="GLACIER"))
    other = format_of(RouteKeys(level=6))
    assert gzip is again
    assert other.recipe != gzip.recipe
    assert {format_of(RouteKeys(compression=name)).ext for name in ("zst", "none")} == {".zst", ""}
