"""An inbox in which hotfolder's own folders lie would be delivered for ever, whatever leads there."""

from pathlib import Path

import pytest

from hotfolder.app import prepare_folder
from hotfolder.config import Settings, load
from hotfolder.core.errors import ConfigError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("one", "two/inbox"):
        (tmp_path / name).mkdir(parents=True)
    file = tmp_path / "hotfolder.toml"
    file.write_text(
        'state_dir = "state"\n[destination]\nbucket = "media"\n'
        '[folders.one]\ninbox = "one"\ncompleted = "done"\nfailed = "failed"\n'
        'key = "one/{relpath}{ext}"\n'
        '[folders.two]\ninbox = "two/inbox"\nkey = "two/{relpath}{ext}"\n'
    )
    return load(file)


def test_folders_beside_the_inbox_are_made(tmp_path: Path, settings: Settings) -> None:
    prepare_folder(settings, "one")
    assert (tmp_path / "done").is_dir()


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("done", "the completed folder of 'one'"),
        ("failed", "the failed folder of 'one'"),
        ("state", "the state_dir"),
        ("two/completed", "the completed folder of 'two'"),
        ("two", "of 'two'"),
    ],
)
def test_a_link_that_leads_into_the_inbox_is_refused(
    tmp_path: Path, settings: Settings, link: str, told: str
) -> None:
    place, inside = tmp_path / link, tmp_path / "one/deep/inside"
    inside.mkdir(parents=True)
    if place.is_dir():
        place.rename(tmp_path / "one/two")
        inside = tmp_path / "one/two"
    place.symlink_to(inside)
    with pytest.raises(ConfigError, match=told) as refused:
        prepare_folder(settings, "one")
    assert str(inside) in str(refused.value)


def test_an_inbox_that_is_a_link_to_what_holds_another_folder_is_refused(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "one").rmdir()
    (tmp_path / "one").symlink_to(tmp_path / "two")
    with pytest.raises(ConfigError, match="of 'two'"):
        prepare_folder(settings, "one")
