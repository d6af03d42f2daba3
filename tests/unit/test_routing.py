"""Keys from templates, and the names of what finds its place taken."""

import pytest

from hotfolder.core.errors import FileRejected
from hotfolder.core.naming import clash_name
from hotfolder.core.routing import (
    MAX_KEY_BYTES,
    MAX_SEGMENT_BYTES,
    Route,
    could_collide,
    encode_path,
    group_path,
    name_metadata,
    parse_template,
)
from tests.support.samples import job, operation_id

DEFAULT = "{prefix}/{relpath}{ext}"
DEEP = "/".join(["d" * 200] * 5) + "/"  # 1,005 bytes, 19 below the limit of a key


def route(
    key: str = DEFAULT, *, folder: str = "media", prefix: str = "nas1", ext: str = ".tar.gz"
) -> Route:
    return Route(folder=folder, template=parse_template(key), prefix=prefix, ext=ext, host="nas")


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("reels/clip one.mp4", "reels/clip one.mp4"),
        ("Füße/🎬.mov", "Füße/🎬.mov"),
        ("a\nb", "a%0Ab"),
        ("a\\b", "a%5Cb"),
        ("\x7f\x80\x9f", "%7F%C2%80%C2%9F"),
        ("100% sure", "100% sure"),
        ("100%25", "100%2525"),
        ("%0a", "%250a"),
        ("%%41", "%%2541"),
        ("\udcff\udc80", "%FF%80"),
        ("-rf", "-rf"),
    ],
)
def test_paths_become_text_that_any_store_takes(path: str, encoded: str) -> None:
    assert encode_path(path) == encoded


@pytest.mark.parametrize(
    ("template", "key"),
    [
        (DEFAULT, "nas1/reels/june/clip.v2.mp4.tar.gz"),
        ("{folder}/{group}/{grouppath}{ext}", "media/reels/june/clip.v2.mp4.tar.gz"),
        ("{host}/{name}", "nas/clip.v2.mp4"),
        ("{stem}{ext}", "clip.v2.tar.gz"),
        ("{date}/{name}", "2025/10/29/clip.v2.mp4"),
        ("{date:%Y}/{timestamp}/{name}", "2025/20251029_0106/clip.v2.mp4"),
        ("fixed-{{braces}}/{name}", "fixed-{braces}/clip.v2.mp4"),
    ],
)
def test_every_variable_of_a_template_is_filled_in(template: str, key: str) -> None:
    assert route(template).key(job("reels/june/clip.v2.mp4")) == key


def test_an_empty_prefix_drops_its_slash() -> None:
    assert route(prefix="").key(job("a.txt")) == "a.txt.tar.gz"


def test_an_empty_prefix_in_the_middle_leaves_no_double_slash() -> None:
    assert "//" not in route("{folder}/{prefix}/{relpath}", prefix="").key(job("a.txt"))


@pytest.mark.parametrize("name", ["..x", "...x", "..mp4", "...", "...."])
@pytest.mark.parametrize("ext", ["", ".gz"])
def test_no_stem_makes_a_segment_that_stores_take_for_a_step(name: str, ext: str) -> None:
    key = route("{prefix}/{stem}{ext}", ext=ext).key(job(name))
    assert not {".", "..", ""} & set(key.split("/"))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{prefix}/{ext}", "every file one key"),
        ("{date}", "every file one key"),
        ("{nme}", "there is no {nme}"),
        ("{name!r}", "there is no {name}"),
        ("{name:>10}", "takes a format"),
        ("{name", "write each variable"),
        ("../{name}", "leave out"),
        ("a/./{name}", "leave out"),
        ("a//{name}", "leave out"),
        ("a\\{name}", "leave out"),
        ("", "every file one key"),
        ("{}/{name}", "there is no {}"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_a_sentence(template: str, words: str) -> None:
    with pytest.raises(ValueError, match="key template") as caught:
        parse_template(template)
    assert words in str(caught.value)


def test_a_key_of_just_the_limit_is_taken_and_one_byte_more_is_rejected() -> None:
    bare = route("{relpath}", ext="")
    fits = DEEP + "é" * 9 + "x"
    assert len(bare.key(job(fits)).encode()) == MAX_KEY_BYTES
    with pytest.raises(FileRejected, match="1025 bytes"):
        bare.key(job(fits + "x"))


def test_bytes_that_are_encoded_count_as_they_are_sent() -> None:
    with pytest.raises(FileRejected):
        route("{relpath}", ext="").key(job("/".join(["\udcff" * 80] * 5)))


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x", "\udcff" * 255, "x" * 248 + ".tar.gz"])
def test_a_name_that_only_the_suffix_makes_too_long_keeps_it_and_fits_255_bytes(name: str) -> None:
    keys = {route().key(job(other)) for other in (name, name[:-1], f"y{name[1:]}")}
    assert len(keys) == 3, "their digests tell them apart"
    for key in keys:
        assert key.startswith("nas1/")
        assert key.endswith(".tar.gz")
        assert len(key.removeprefix("nas1/").encode()) <= MAX_SEGMENT_BYTES


def test_a_folder_name_that_its_encoding_makes_too_long_fits_255_bytes() -> None:
    one, other = (route().key(job("\udcff" * length + "/clip.mp4")) for length in (254, 255))
    assert one != other
    assert all(len(segment.encode()) <= MAX_SEGMENT_BYTES for segment in one.split("/"))


def test_a_name_of_255_bytes_with_its_suffix_is_not_touched() -> None:
    assert route().key(job("x" * 248)) == "nas1/" + "x" * 248 + ".tar.gz"
    assert route().key(job("x" * 249)) != "nas1/" + "x" * 249 + ".tar.gz"


def test_an_alternative_of_a_shortened_key_is_one_of_its_own() -> None:
    name = "x" * 255
    one, other = job(name, number=1), job(name, number=2)
    keys = {route().alternative(route().key(each), each) for each in (one, other)}
    assert len(keys | {route().key(one)}) == 3
    for key in keys:
        assert len(key.removeprefix("nas1/").encode()) <= MAX_SEGMENT_BYTES
        assert key.endswith(".tar.gz")


def test_an_alternative_key_stands_before_the_suffix_and_names_the_operation() -> None:
    one = job("a.txt")
    assert route().alternative("nas1/a.txt.tar.gz", one) == f"nas1/a.txt~{one.operation_id}.tar.gz"
    assert route(ext="").alternative("nas1/a.txt", one) == f"nas1/a.txt~{one.operation_id}"


def test_an_alternative_key_keeps_to_the_limit_too() -> None:
    bare = route("{relpath}", ext="")
    long = job(DEEP + "x" * 19)
    with pytest.raises(FileRejected):
        bare.alternative(bare.key(long), long)


def test_groups_are_top_directories_and_else_the_folder() -> None:
    assert group_path("reels/a/b") == "a/b"
    assert group_path("b") == "b"


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        (route(), route(), True),
        (route("{folder}/{name}", folder="a"), route("{folder}/{name}", folder="b"), False),
        (route("{folder}/{name}", folder="a"), route("{folder}/{name}", folder="a/b"), True),
        (route("{folder}{name}", folder="a"), route("{folder}{name}", folder="ab"), True),
        (route("x/{name}"), route("y/{name}"), False),
        (route("{name}"), route("y/{name}"), True),
        (route(prefix=""), route("/{name}"), True),
    ],
)
def test_routes_that_could_make_one_key_are_found(one: Route, other: Route, collide: bool) -> None:
    assert could_collide(one, other) is collide
    assert could_collide(other, one) is collide


def test_name_metadata_is_ascii_and_falls_back_to_the_name() -> None:
    assert name_metadata("Füße/🎬.mov") == "F%C3%BC%C3%9Fe/%F0%9F%8E%AC.mov"
    assert name_metadata("d/" * 800 + "clip.mp4") == "clip.mp4"
    assert name_metadata("a\udcff") == "a%FF"


@pytest.mark.parametrize(
    ("name", "clash"),
    [
        ("clip.mp4", "clip~{tag}.mp4"),
        ("clip", "clip~{tag}"),
        (".bashrc", ".bashrc~{tag}"),
        ("a.tar.gz", "a~{tag}.tar.gz"),
        ("a." + "x" * 253, "a." + "x" * 240 + "~{tag}"),
        ("x" * 255, "x" * 242 + "~{tag}"),
    ],
)
def test_a_clash_is_told_apart_by_the_operation(name: str, clash: str) -> None:
    one = operation_id(7)
    assert clash_name(name, one) == clash.format(tag=one[-12:])
