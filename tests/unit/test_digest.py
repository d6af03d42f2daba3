"""What counts as proof, and what does not."""

import base64
import hashlib

import pytest

from hotfolder.core import digest
from hotfolder.core.errors import VerificationFailed
from hotfolder.core.records import ObjectInfo, PartDigest, PartReceipt, Receipt, Verification

BODY = b"the packed bytes"
SHA = hashlib.sha256(BODY).digest()
MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()
OTHER = hashlib.sha256(b"other bytes").digest()


def whole(etag: str = "", sha256: bytes | None = None) -> Receipt:
    return Receipt(etag, None if sha256 is None else digest.b64(sha256))


def parts(*bodies: bytes) -> list[PartDigest]:
    return [
        PartDigest(number, len(body), hashlib.sha256(body).digest(), md5_of(body))
        for number, body in enumerate(bodies, start=1)
    ]


def md5_of(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def received(ours: list[PartDigest]) -> list[PartReceipt]:
    return [PartReceipt(p.number, p.size, (p.md5 or b"").hex()) for p in ours]


# -- a single PUT ------------------------------------------------------------------------------


def test_an_equal_checksum_is_the_strongest_proof() -> None:
    assert digest.prove_whole(whole("x", SHA), sha256=SHA, md5=None) is Verification.CHECKSUM


def test_another_checksum_fails_whatever_the_etag_says() -> None:
    with pytest.raises(VerificationFailed, match="SHA-256") as caught:
        digest.prove_whole(whole(MD5.hex(), OTHER), sha256=SHA, md5=MD5)
    assert "stays" in caught.value.hint


def test_an_equal_etag_is_proof_in_either_case_of_letters() -> None:
    assert digest.prove_whole(whole(MD5.hex()), sha256=SHA, md5=MD5) is Verification.ETAG
    assert digest.prove_whole(whole(MD5.hex().upper()), sha256=SHA, md5=MD5) is Verification.ETAG


@pytest.mark.parametrize("etag", ["", "0" * 32, "not-an-md5", MD5.hex()[:-1], f"{MD5.hex()}-1"])
def test_another_etag_proves_nothing_and_refutes_nothing(etag: str) -> None:
    assert digest.prove_whole(whole(etag), sha256=SHA, md5=MD5) is None


def test_without_an_md5_of_ours_no_etag_is_proof() -> None:
    assert digest.prove_whole(whole(MD5.hex()), sha256=SHA, md5=None) is None


def test_under_a_kms_key_an_etag_neither_proves_nor_refutes() -> None:
    opaque = Receipt(MD5.hex(), etag_is_digest=False)
    assert digest.prove_whole(opaque, sha256=SHA, md5=MD5) is None
    digest.refuse_other_md5(ObjectInfo("k", 1, "0" * 32, etag_is_digest=False), MD5, "k")
    digest.refuse_other_md5(PartReceipt(1, 1, "0" * 32, etag_is_digest=False), MD5, "part 1")
    with pytest.raises(VerificationFailed, match="MD5"):
        digest.refuse_other_md5(ObjectInfo("k", 1, "0" * 32), MD5, "k")
    with_checksum = Receipt("0" * 32, digest.b64(SHA), etag_is_digest=False)
    assert digest.prove_whole(with_checksum, sha256=SHA, md5=None) is Verification.CHECKSUM
    (ours,) = parts(BODY)
    assert digest.prove_part(PartReceipt(1, 1, MD5.hex(), etag_is_digest=False), ours) is None


def test_a_head_proves_as_a_receipt_does() -> None:
    info = ObjectInfo("k", len(BODY), "x", digest.b64(SHA))
    assert digest.prove_whole(info, sha256=SHA, md5=None) is Verification.CHECKSUM


def test_a_part_is_proven_as_a_whole_is() -> None:
    (ours,) = parts(BODY)
    assert digest.prove_part(PartReceipt(1, 1, "x", digest.b64(SHA)), ours) is Verification.CHECKSUM
    assert digest.prove_part(PartReceipt(1, 1, MD5.hex()), ours) is Verification.ETAG
    assert digest.prove_part(PartReceipt(1, 1, "x"), ours) is None
    with pytest.raises(VerificationFailed):
        digest.prove_part(PartReceipt(1, 1, MD5.hex(), digest.b64(OTHER)), ours)


# -- a multipart object ------------------------------------------------------------------------


def test_composites_are_built_as_s3_builds_them() -> None:
    # AWS's definition: the digest of the concatenated binary digests, and the number of parts.
    one, two = b"a" * 10, b"b" * 3
    joined = hashlib.sha256(hashlib.sha256(one).digest() + hashlib.sha256(two).digest()).digest()
    ours = parts(one, two)
    assert digest.composite_sha256([p.sha256 for p in ours]) == f"{base64.b64encode(joined).decode()}-2"
    etag = hashlib.md5(md5_of(one) + md5_of(two), usedforsecurity=False).hexdigest()
    assert digest.composite_etag([md5_of(one), md5_of(two)]) == f"{etag}-2"


def test_an_equal_composite_checksum_proves_the_assembly() -> None:
    ours = parts(b"one", b"two")
    receipt = Receipt("x", digest.composite_sha256([p.sha256 for p in ours]))
    assert digest.prove_assembled(receipt, ours=ours, received=[]) is Verification.CHECKSUM


def test_parts_in_another_order_are_another_object() -> None:
    ours = parts(b"one", b"two")
    receipt = Receipt("x", digest.composite_sha256([p.sha256 for p in reversed(ours)]))
    with pytest.raises(VerificationFailed, match="assembled"):
        digest.prove_assembled(receipt, ours=ours, received=received(ours))


def test_an_etag_made_of_the_parts_etags_proves_the_assembly() -> None:
    ours = parts(b"one", b"two")
    receipt = Receipt(digest.composite_etag([p.md5 or b"" for p in ours]).upper())
    assert digest.prove_assembled(receipt, ours=ours, received=received(ours)) is Verification.ETAG


@pytest.mark.parametrize(("whole_is", "part_is"), [(False, True), (True, False), (False, False)])
def test_under_a_kms_key_no_etag_proves_the_assembly(whole_is: bool, part_is: bool) -> None:
    ours = parts(b"one", b"two")
    etag = digest.composite_etag([p.md5 or b"" for p in ours])
    receipt = Receipt(etag, etag_is_digest=whole_is)
    said = [PartReceipt(p.number, p.size, p.etag, etag_is_digest=part_is) for p in received(ours)]
    assert digest.prove_assembled(receipt, ours=ours, received=said) is None


@pytest.mark.parametrize("count", [1, 3])
def test_an_object_of_another_number_of_parts_is_not_proven(count: int) -> None:
    ours = parts(b"one", b"two")
    other = parts(*[b"one"] * count)
    checksum = digest.composite_sha256([p.sha256 for p in other])
    etag = digest.composite_etag([p.md5 or b"" for p in other])
    found = digest.prove_assembled(Receipt(etag, checksum), ours=ours, received=received(ours))
    assert found is None


def test_part_etags_that_are_no_md5_prove_nothing() -> None:
    ours = parts(b"one")
    opaque = [PartReceipt(1, 3, "opaque")]
    assert digest.prove_assembled(Receipt("anything-1"), ours=ours, received=opaque) is None


def test_a_checksum_of_the_whole_instead_of_the_parts_is_no_composite() -> None:
    ours = parts(b"one", b"two")
    receipt = Receipt("x", digest.b64(hashlib.sha256(b"onetwo").digest()))
    assert digest.prove_assembled(receipt, ours=ours, received=received(ours)) is None


def test_a_stored_size_that_differs_is_a_failure() -> None:
    digest.check_size(ObjectInfo("k", 5, "e"), 5)
    with pytest.raises(VerificationFailed, match="holds 4 bytes, sent were 5"):
        digest.check_size(ObjectInfo("k", 4, "e"), 5)


@pytest.mark.parametrize(
    ("etag", "is_one"),
    [("a" * 32, True), ("A" * 32, True), ("g" * 32, False), ("a" * 31, False), ("", False)],
)
def test_an_md5_is_32_hexadecimal_digits(etag: str, is_one: bool) -> None:
    assert digest.is_md5(etag) is is_one


@pytest.mark.parametrize("run", [1, 2, 3, 7, 16, 100])
def test_a_running_checksum_is_that_of_the_parts_however_it_is_fed(run: int) -> None:
    for part in (5, 6, 16, 17):
        running = digest.RunningSha256(part)
        for start in range(0, len(BODY), run):
            running.update(BODY[start : start + run])
        cut = [hashlib.sha256(BODY[at : at + part]).digest() for at in range(0, len(BODY), part)]
        assert running.digest() == digest.sha256_of_parts(cut)
    whole = digest.RunningSha256()
    whole.update(BODY)
    assert whole.digest() == SHA
