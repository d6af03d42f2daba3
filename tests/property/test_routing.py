"""Keys: different files never share one, and no file name makes one that a store cannot take."""

import os
import re

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hotfolder.core.errors import FileRejected
from hotfolder.core.naming import clash_name
from hotfolder.core.routing import (
    MAX_KEY_BYTES,
    MAX_SEGMENT_BYTES,
    Route,
    encode_path,
    name_metadata,
    parse_template,
)
from tests.support.samples import job, operation_id

settings.register_profile("routing", max_examples=400)
THOROUGH = settings.get_profile("routing")

#: What file systems allow in a name: any byte but "/" and NUL, 1 to 255 of them, not "." nor "..".
#: Drawn with a liking for what is special to the encoding.
spiced = st.lists(
    st.sampled_from(
        [b"%", b"%2", b"25", b"0A", b"a", b"F", b"\n", b"\\", b"\x7f", b"\xc2", b"\x80", b"\xff", b"."]
    )
    | st.binary(min_size=1, max_size=3)
    | st.text(min_size=1, max_size=3).map(lambda text: text.encode("utf-8", "surrogatepass")),
    min_size=1,
    max_size=20,
).map(b"".join)
names = (
    spiced.map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b"")[:255])
    .filter(lambda raw: raw not in {b"", b".", b".."})
    .map(os.fsdecode)
)
relpaths = st.lists(names, min_size=1, max_size=4).map("/".join)
templates = st.sampled_from(
    [
        "{prefix}/{relpath}{ext}",
        "{prefix}/{group}/{grouppath}{ext}",
        "{prefix}/{stem}",
        "{prefix}/{stem}{ext}",
        "{folder}/{prefix}/{date}/{name}{ext}",
        "/{prefix}/{timestamp}/{stem}/{name}",
    ]
)
prefixes = st.sampled_from(["", "nas1", "a/b"])
exts = st.sampled_from(["", ".gz", ".tar.zst"])


def route(
    template: str = "{prefix}/{relpath}{ext}", prefix: str = "nas1", ext: str = ".tar.gz"
) -> Route:
    return Route(folder="media", template=parse_template(template), prefix=prefix, ext=ext, host="nas")


def decode_path(text: str) -> bytes:
    """The inverse of `encode_path`, written from its promise: %XX is a byte, the rest is UTF-8."""
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


@settings(THOROUGH)
@given(relpaths)
@example("100%")
@example("%")
@example("%%")
@example("%2\n")
@example("%\n0A")
@example("%0A")
@example("%250A")
@example("%c3\udca9")
@example("\udcc3\x7f\udca9")
def test_an_encoded_path_maps_back_to_its_very_bytes(path: str) -> None:
    assert decode_path(encode_path(path)) == os.fsencode(path)


@settings(THOROUGH)
@given(relpaths, relpaths)
@example("%0A", "\n")
@example("%250A", "%0A")
@example("\x80", "%C2%80")
@example("\udcff", "%FF")
def test_different_paths_never_share_a_key(one: str, other: str) -> None:
    assume(one != other)
    assume(max(len(os.fsencode(path)) for path in (one, other)) < 300)
    for ext in (".tar.gz", ""):
        for prefix in ("nas1", ""):
            there = route(prefix=prefix, ext=ext)
            assert there.key(job(one)) != there.key(job(other))


@settings(THOROUGH)
@given(relpaths, templates, prefixes, exts)
@example("..x", "{prefix}/{stem}", "", "")
@example("...x", "{prefix}/{stem}", "nas1", "")
@example("a", "{folder}/{prefix}/{date}/{name}{ext}", "", "")
def test_no_name_makes_a_key_that_stores_refuse(
    relpath: str, template: str, prefix: str, ext: str
) -> None:
    there = route(template, prefix, ext)
    one = job(relpath, group=relpath.partition("/")[0])
    try:
        keys = [there.key(one), there.alternative(there.key(one), one)]
    except FileRejected:
        return
    for key in keys:
        assert 0 < len(key.encode()) <= MAX_KEY_BYTES
        assert not key.startswith("/")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]", key)
        assert not {"", ".", ".."} & set(key.split("/"))
        assert all(len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in key.split("/"))
    assert keys[0] != keys[1]


@settings(THOROUGH)
@given(st.integers(MAX_KEY_BYTES - 20, MAX_KEY_BYTES + 20), exts)
@example(MAX_KEY_BYTES, "")
@example(MAX_KEY_BYTES + 1, "")
def test_a_key_is_rejected_just_where_it_is_too_long(size: int, ext: str) -> None:
    relpath = "/".join(["d" * 200] * 6)[: size - len("nas1/") - len(ext)]
    assume(not relpath.endswith("/"))
    try:
        key = route(ext=ext).key(job(relpath))
    except FileRejected:
        assert size > MAX_KEY_BYTES
    else:
        assert len(key.encode()) == size <= MAX_KEY_BYTES


@settings(THOROUGH)
@given(names, st.integers(0, 2**74 - 1))
@example("x" * 255, 1)
@example("." + "x" * 254, 1)
@example("a." + "x" * 253, 1)
@example("x" * 254 + ".", 1)
@example("é" * 127, 1)
@example("a~" + "0" * 12, 0)
def test_a_clash_name_fits_any_file_system_and_is_another_name(name: str, number: int) -> None:
    one = operation_id(number)
    clash = clash_name(name, one)
    assert len(os.fsencode(clash)) <= 255
    assert clash == clash_name(name, one)
    assert clash != name
    assert "/" not in clash
    assert clash not in {"", ".", ".."}
    assert f"~{one[-12:]}" in clash


@settings(THOROUGH)
@given(names, st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1))
def test_two_operations_never_share_a_clash_name(name: str, one: int, other: int) -> None:
    assume(one != other)
    assert clash_name(name, operation_id(one)) != clash_name(name, operation_id(other))


@settings(THOROUGH)
@given(relpaths)
@example("d/" * 1000 + "name")
@example("\udcff" * 255)
def test_name_metadata_is_short_ascii_without_spaces(relpath: str) -> None:
    text = name_metadata(relpath)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert len(text) <= 1400
    assert os.fsencode(relpath).endswith(decode_path(text))
