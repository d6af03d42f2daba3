"""The settings: what they accept, what they say, and that examples and template keep up with them."""

import re
import tomllib
from pathlib import Path

import pytest
import tomli_w
from pydantic import BaseModel

from hotfolder.config import Destination, Folder, FolderKeys, Log, Settings, StatusKeys, Transfer, load
from hotfolder.config.settings import LedgerKeys
from hotfolder.config.template import TEMPLATE
from hotfolder.core.errors import ConfigError
from hotfolder.core.segments import MIB
from hotfolder.core.size_limits import SizeLimits

MINIMAL = "[destination]\nbucket = 'b'\n[folders.media]\ninbox = 'inbox'\n"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/nonexistent/state")


def loaded(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "hotfolder.toml"
    path.write_text(text)
    return load(path)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return caught.value.sentence


def test_the_least_configuration_gets_siblings_of_the_inbox_and_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path, MINIMAL)
    folder = settings.folders["media"]
    assert (folder.inbox, folder.completed, folder.failed) == (
        tmp_path / "inbox",
        tmp_path / "completed",
        tmp_path / "failed",
    )
    assert folder.settle == 5.0
    assert settings.transfer.memory == 256 * MIB
    assert settings.status_file == Path("/nonexistent/state/status.json")


def test_a_folder_overrides_the_defaults(tmp_path: Path) -> None:
    text = MINIMAL + "settle = '1m30s'\n[defaults]\nsettle = '250ms'\ncompression = 'zst'\n"
    folder = loaded(tmp_path, text).folders["media"]
    assert folder.settle == 90.0
    assert folder.compression == "zst"


def test_the_environment_goes_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTFOLDER_DESTINATION__BUCKET", "other")
    monkeypatch.setenv("HOTFOLDER_TRANSFER__MEMORY", "1GiB")
    monkeypatch.setenv("HOTFOLDER_TRANSFER__WORKERS", "3")
    monkeypatch.setenv("HOTFOLDER_FOLDERS__MEDIA__LEVEL", "7")
    settings = loaded(tmp_path, MINIMAL)
    assert settings.transfer.workers == 3
    assert settings.folders["media"].level == 7
    assert settings.destination.bucket == "other"
    assert settings.transfer.memory == 1024 * MIB


@pytest.mark.parametrize("variable", ["HOTFOLDER_DESTINATON__BUCKET", "HOTFOLDER_BUCKET"])
def test_a_variable_that_nobody_obeys_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "other")
    assert variable in complaint(tmp_path, MINIMAL)


def test_a_relative_path_in_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTFOLDER_FOLDERS__MEDIA__INBOX", "inbox")
    assert "absolute" in complaint(tmp_path, MINIMAL)


def test_an_address_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    text = MINIMAL.replace("bucket = 'b'", "bucket = 'b'\nendpoint_url = 'https://me:s3cret@host'")
    assert "no password" in complaint(tmp_path, text)
    assert "s3cret" not in complaint(tmp_path, text)


def test_a_faulty_inbox_is_the_only_complaint_about_its_folder(tmp_path: Path) -> None:
    text = "[destination]\nbucket = 'b'\n[folders.media]\ninbox = 5\n"
    assert complaint(tmp_path, text).count("\n") == 1


@pytest.mark.parametrize(
    "office", ["inbox", "inbox/office", "completed", "completed/office", "failed", "."]
)
def test_two_folders_share_no_file(tmp_path: Path, office: str) -> None:
    two = MINIMAL + f"[folders.office]\ninbox = '{office}'\ncompleted = 'x'\nfailed = 'y'\n"
    two += "[defaults]\nkey = '{prefix}/{folder}/{relpath}{ext}'\n"
    assert "must not" in complaint(tmp_path, two)


def test_two_folders_need_keys_that_stay_apart(tmp_path: Path) -> None:
    two = MINIMAL + "[folders.office]\ninbox = 'office/inbox'\n"
    assert "same key" in complaint(tmp_path, two)
    apart = two + "[defaults]\nkey = '{prefix}/{folder}/{relpath}{ext}'\n"
    assert set(loaded(tmp_path, apart).folders) == {"media", "office"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + "colour = 'red'\n", "known here are"),
        (MINIMAL + "[tranfser]\n", "did you mean transfer?"),
        (MINIMAL + "[transfer]\nmemry = '1GiB'\n", "did you mean memory?"),
        (MINIMAL + "[transfer]\nmemory = '1MiB'\n", "64MiB"),
        (MINIMAL + "[transfer]\npart_size = '1MiB'\n", "5MiB"),
        (MINIMAL + "[transfer]\nworkers = 'many'\n", "cpu*4"),
        (MINIMAL + "[transfer]\nrequests = 0\n", "transfer.requests"),
        (MINIMAL + "compression = 'rar'\n", "tar.zst"),
        (MINIMAL + "level = 'warp'\n", "balanced"),
        (MINIMAL + "level = 12\n", "1 to 9"),
        (MINIMAL + "failed = 'completed'\n", "give each its own folder"),
        (MINIMAL + "completed = 'inbox/done'\n", "must not lie in each other"),
        (MINIMAL.replace("bucket = 'b'", "bucket = 'b'\nendpoint_url = 'localhost:9000'"), "https://"),
        (MINIMAL.replace("bucket = 'b'", "bucket = 'b'\nauth = 'config'"), "credentials_file"),
        (MINIMAL.replace("bucket = 'b'", "bucket = 'b'\nauth = 'magic'"), "'default', 'config'"),
    ],
)
def test_a_fault_is_a_sentence_with_the_fix(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in complaint(tmp_path, text)


def destination(tmp_path: Path, *lines: str) -> Destination:
    """[destination] with these lines more, as it is loaded."""
    return loaded(tmp_path, with_lines(*lines)).destination


def with_lines(*lines: str) -> str:
    return MINIMAL.replace("bucket = 'b'", "\n".join(["bucket = 'b'", *lines]))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("auth = 'profile'", 'auth = "profile" needs profile ='),
        ("auth = 'keyring'", 'auth = "keyring" needs keyring_entry ='),
        ("auth = 'instance'\nprofile = 'nas'", 'profile is read only with auth = "profile"'),
        ("auth = 'profile'\nprofile = 'a'\ncredentials_file = 'c'", 'only with auth = "config"'),
        ("keyring_entry = 'a/b'", 'keyring_entry is read only with auth = "keyring"'),
        ("credential_name = 's3'", 'credential_name is read only with auth = "systemd"'),
        ("auth = 'keyring'\nkeyring_entry = 'nas'", "SERVICE/USERNAME"),
        ("auth = 'keyring'\nkeyring_entry = 'nas/'", "SERVICE/USERNAME"),
        ("auth = 'systemd'\ncredential_name = '../s3'", "LoadCredential="),
        ("tags = { 'aws:x' = 'y' }", "AWS's own"),
        ("tags = { x = 'y,z' }", "the tag 'x' has ','"),
        ("tags = { '' = 'y' }", "1 to 128"),
        ("tags = { " + "k" * 129 + " = 'y' }", "1 to 128"),
        ("tags = { x = '" + "v" * 257 + "' }", "at most 256"),
        ("tags = { " + ", ".join(f"k{i} = 'v'" for i in range(11)) + " }", "11 tags"),
        ("tags = { x = 5 }", "destination.tags.x: write text in quotes"),
        ("tags = 'x=y'", "must be a table"),
        ("sse = 'aes256'", "'AES256' or 'aws:kms'"),
        ("sse = 'AES256'\nkms_key_id = 'k'", 'only with sse = "aws:kms"'),
        ("kms_key_id = 'k'", 'only with sse = "aws:kms"'),
        ("sse = 'aws:kms'\nkms_key_id = 'my key'", "plain ASCII without spaces"),
        ("storage_class = 'COLD\u00c9'", "plain ASCII without spaces"),
        ("storage_class = ''", "must not be empty"),
        ("acl = 'everybody'", "'bucket-owner-full-control'"),
        ("prefix = 'a/../b'", "'..'"),
        ("prefix = './a'", "'.'"),
        ('prefix = "a\\nb"', "cannot be printed"),
        ("proxy = 'proxy:3128'", "http://proxy.example.com:3128"),
        ("proxy = 'http://proxy:port'", "no address of a proxy"),
        ("proxy = 'http://proxy:3128/path'", "only a host and a port"),
        ("endpoint_url = 'http://host:99999'", "no address of a store"),
        ("endpoint_url = 'http://host'\nca_bundle = 'ca.pem'", "ca_bundle is for https"),
        ("addressing_style = 'virtual'", "cannot be part of a host name"),
    ],
)
def test_a_destination_that_cannot_be_is_a_sentence_with_the_fix(
    tmp_path: Path, lines: str, expected: str
) -> None:
    told = complaint(tmp_path, with_lines(lines))
    assert expected in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["my bucket", "a/b", "s3://archive", "b\u00fccket", "", "x" * 256])
def test_what_is_no_bucket_is_refused(tmp_path: Path, name: str) -> None:
    assert "destination.bucket" in complaint(tmp_path, MINIMAL.replace("'b'", f"'{name}'"))


@pytest.mark.parametrize(
    "name", ["my-archive", "dotted.bucket", "Old_Bucket", "arn:aws:s3:eu-west-1:1:accesspoint/nas"]
)
def test_what_some_store_has_is_taken(tmp_path: Path, name: str) -> None:
    assert loaded(tmp_path, MINIMAL.replace("'b'", f"'{name}'")).destination.bucket == name


@pytest.mark.parametrize(
    ("given", "normal"), [("/nas1//media/", "nas1/media"), ("///", ""), ("", ""), ("a..b/.c", "a..b/.c")]
)
def test_a_prefix_loses_its_superfluous_slashes(tmp_path: Path, given: str, normal: str) -> None:
    assert destination(tmp_path, f"prefix = '{given}'").prefix == normal


def test_a_proxy_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    told = complaint(tmp_path, with_lines("proxy = 'http://me:s3cret@proxy:3128'"))
    assert "no password" in told
    assert "s3cret" not in told


def test_files_of_the_destination_lie_beside_the_configuration(tmp_path: Path) -> None:
    lines = "auth = 'config'\ncredentials_file = 'keys'\nca_bundle = 'ca.pem'"
    made = destination(tmp_path, lines)
    assert (made.credentials_file, made.ca_bundle) == (tmp_path / "keys", tmp_path / "ca.pem")


def test_a_relative_file_in_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTFOLDER_DESTINATION__CA_BUNDLE", "ca.pem")
    assert "absolute" in complaint(tmp_path, MINIMAL)


def test_tags_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTFOLDER_DESTINATION__TAGS", '{"team": "caf\u00e9 + co"}')
    assert loaded(tmp_path, MINIMAL).destination.tags == {"team": "caf\u00e9 + co"}


def test_the_effective_destination_can_be_loaded_again(tmp_path: Path) -> None:
    settings = loaded(tmp_path, with_lines("tags = { a = 'b' }", "ca_bundle = 'ca.pem'"))
    again = loaded(tmp_path, tomli_w.dumps(settings.as_toml_table()))
    assert again.destination == settings.destination


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('compression = "gz"', "packs into tar files"),
        ('compression = "none"', "packs into tar files"),
        ('on_complete = "delete"', "removes none"),
        ('[folders.media.groups.reels]\ncompression = "zst"', "group 'reels'"),
    ],
)
def test_a_directory_as_one_needs_an_archive_and_is_not_deleted(
    tmp_path: Path, lines: str, told: str
) -> None:
    assert told in complaint(tmp_path, f'{MINIMAL}directories = "archive"\n{lines}\n')
    assert loaded(tmp_path, f'{MINIMAL}directories = "archive"\n').folders["media"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    told = complaint(tmp_path, "[destination]\nbukket = 'b'\n[folders.media]\nsettle = 'soon'\n")
    assert "did you mean bucket?" in told
    assert "no duration" in told
    assert "folders.media.inbox is missing" in told


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    assert load(path).folders


def test_the_template_loads_and_shows_every_key_and_no_other(tmp_path: Path) -> None:
    assert loaded(tmp_path, TEMPLATE).destination.bucket == "my-bucket"
    everything = re.sub(r"^# (\w+ = |\[)", r"\1", TEMPLATE, flags=re.MULTILINE)
    tables = tomllib.loads(everything)
    shown = {name: set(table) for name, table in tables.items() if isinstance(table, dict)}
    models: dict[str, type[BaseModel]] = {
        "destination": Destination,
        "defaults": FolderKeys,
        "transfer": Transfer,
        "status": StatusKeys,
        "ledger": LedgerKeys,
        "log": Log,
    }
    assert {name: shown[name] for name in models} == {
        name: set(model.model_fields) for name, model in models.items()
    }
    assert set(tables["folders"]["media"]) == set(Folder.model_fields) - set(FolderKeys.model_fields)
    assert set(tables) == set(Settings.model_fields)


# -- groups, variables, destinations ---------------------------------------------------------------


def test_a_group_overrides_its_folder_and_the_folder_the_defaults(tmp_path: Path) -> None:
    text = MINIMAL + (
        "compression = 'zst'\ntags = { a = '1' }\n"
        "[folders.media.groups.reels]\nextensions = ['.mp4']\nlevel = 19\n"
        "[folders.media.groups.docs]\ncompression = 'none'\ntags = {}\n"
        "[defaults]\nstorage_class = 'STANDARD_IA'\n"
    )
    folder = loaded(tmp_path, text).folders["media"]
    reels, docs, other = (folder.rules_of(name) for name in ("reels", "docs", "other"))
    assert (reels.compression, reels.level, reels.tags) == ("zst", 19, {"a": "1"})
    assert (docs.compression, docs.level, docs.tags) == ("none", "fast", {})
    assert other.storage_class == docs.storage_class == "STANDARD_IA"


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("[folders.media.groups.reels]\nlevel = 19", "level 19 does not fit tar.gz"),
        ("[folders.media.groups.reels]\nextensions = ['mp4']", "write it with its dot"),
        ("[folders.media.groups.reels]\nextentions = ['.mp4']", "did you mean extensions?"),
        ("[folders.media.groups.'a/b']", "it is the name of a directory"),
        (
            "[folders.media.groups.reels]\nkey = '{vars.project}/{name}'",
            'add project = "…" under [vars]',
        ),
        ("key = '{vars.}/{name}'", "there is no {vars.}"),
        ("[vars]\na = '../b'", "cannot stand in a key"),
        ("[vars]\n'a b' = 'c'", "vars"),
        ("[status]\ngroup_key = 'totals'", "plural word"),
        ("[folders.media.destination]\nbukket = 'x'", "did you mean bucket?"),
    ],
)
def test_faults_of_groups_and_variables_are_sentences(tmp_path: Path, group: str, said: str) -> None:
    assert said in complaint(tmp_path, MINIMAL + group + "\n")


def test_variables_stand_in_keys_and_a_command_may_override_them(tmp_path: Path) -> None:
    path = tmp_path / "hotfolder.toml"
    path.write_text(MINIMAL + "key = '{vars.project}/{name}'\n[vars]\nproject = 'P 1/sub'\n")
    assert load(path).route("media").own == {"project": "P 1/sub"}
    assert load(path, own_variables={"project": "P2"}).route("media").own == {"project": "P2"}


def test_a_folder_may_have_a_destination_of_its_own(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "[folders.office]\ninbox = 'office/inbox'\n[folders.office.destination]\nbucket = 'o'\n"
    )
    settings = loaded(tmp_path, text.replace("bucket = 'b'", "bucket = 'b'\nregion = 'eu-west-1'"))
    office = settings.folders["office"].destination
    assert (office.bucket, office.region) == ("o", "eu-west-1")
    assert settings.folders["media"].destination == settings.destination


def test_a_missing_bucket_is_told_once(tmp_path: Path) -> None:
    assert complaint(tmp_path, MINIMAL.replace("bucket = 'b'", "")).count("is missing") == 1


def test_what_is_kept_must_be_on_disk_first(tmp_path: Path) -> None:
    assert 'set spool = "disk"' in complaint(tmp_path, MINIMAL + "keep_compressed = true\n")
    text = MINIMAL + "spool = 'disk'\n[defaults]\nkeep_compressed = true\n"
    assert loaded(tmp_path, text).folders["media"].keep_compressed


def test_a_folder_may_have_limits_of_size(tmp_path: Path) -> None:
    sized = MINIMAL.replace("[folders.media]", '[folders.media]\nmin_size = "1KiB"\nmax_size = "2MB"')
    assert loaded(tmp_path, sized).folders["media"].sizes == SizeLimits(1024, 2_000_000)
    assert loaded(tmp_path, MINIMAL).folders["media"].sizes == SizeLimits(0, None)
    told = complaint(tmp_path, sized.replace("2MB", "1000B"))
    assert "max_size (1,000 bytes) is less than min_size (1,024 bytes)" in told
    assert "without max_size there is no limit" in complaint(tmp_path, MINIMAL + "max_size = 0\n")


def test_faults_are_told_in_the_words_of_the_file(tmp_path: Path) -> None:
    assert "(it is true)" in complaint(tmp_path, MINIMAL + "tidy = true\n")
    assert "0s is too short; write 1s or more" in complaint(tmp_path, MINIMAL + 'rescan = "0s"\n')
    assert "something beside it" in complaint(tmp_path, MINIMAL + 'marker = "{name}"\n')
