"""What a store's refusals become: whose trouble, with which advice."""

import pytest

from hotfolder.core.answers import Subject, judge_fault, judge_refusal
from hotfolder.core.errors import DestinationError, DestinationTrouble, ObjectRefused
from hotfolder.core.permissions import missing_permission
from hotfolder.core.refusals import Fault, Refusal, refusal_of
from hotfolder.core.s3_codes import Patience
from hotfolder.core.skew import skew_of, skew_words

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("PutObject", ["s3:PutObject on arn:aws:s3:::nas/*", "s3:PutObjectTagging", "kms:Decrypt"]),
        ("UploadPart", ["s3:PutObject on arn:aws:s3:::nas/*"]),
        ("AbortMultipartUpload", ["s3:AbortMultipartUpload on arn:aws:s3:::nas/*"]),
        ("ListParts", ["s3:ListMultipartUploadParts on arn:aws:s3:::nas/*"]),
        ("HeadObject", ["s3:GetObject on arn:aws:s3:::nas/*", "s3:ListBucket on arn:aws:s3:::nas"]),
        ("ListObjectsV2", ["s3:ListBucket on arn:aws:s3:::nas"]),
        ("ListMultipartUploads", ["s3:ListBucketMultipartUploads on arn:aws:s3:::nas"]),
        ("DeleteObject", ["s3:DeleteObject on arn:aws:s3:::nas/*"]),
    ],
)
def test_a_denial_names_the_permission_of_that_very_request(operation: str, words: list[str]) -> None:
    key = "" if operation.startswith("ListO") else "a/b"
    verdict = judge_refusal(Subject(operation, "nas", key), Refusal(403, "AccessDenied"))
    assert isinstance(verdict.error, DestinationError)
    assert verdict.error.trouble is DestinationTrouble.DENIED
    for word in words:
        assert word in verdict.error.hint
    others = {"s3:PutObject ", "s3:GetObject ", "s3:DeleteObject ", "s3:ListMultipartUploadParts "}
    assert not [other for other in others if other in verdict.error.hint and other not in words[0]]


def test_what_the_store_itself_names_goes_first() -> None:
    said = (
        "User: arn:aws:iam::1:user/nas is not authorized to perform: kms:GenerateDataKey on resource: "
        '"arn:aws:kms:eu-central-1:1:key/2" because no identity-based policy allows it'
    )
    told = missing_permission("PutObject", "nas", said)
    assert told == "let the policies allow kms:GenerateDataKey on arn:aws:kms:eu-central-1:1:key/2"
    told = missing_permission("PutObject", "nas", "is not authorized to perform: s3:PutObject")
    assert told == "let the policies allow s3:PutObject on the resource it names"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 412, 302, 500, 503])
@pytest.mark.parametrize("code", ["", "WhateverThisIs"])
def test_no_refusal_of_the_bucket_is_an_objects_own(status: int, code: str) -> None:
    # It would end the daemon, whose probe expects troubles of the destination.
    verdict = judge_refusal(Subject("ListObjectsV2", "nas"), Refusal(status, code))
    assert isinstance(verdict.error, DestinationError)
    assert verdict.error.hint


def test_an_answer_without_a_document_asks_the_bucket_before_it_blames_the_object() -> None:
    put = Subject("PutObject", "nas", "k")
    assert judge_refusal(put, Refusal(400, "")).ask_bucket
    known = judge_refusal(put, Refusal(400, "InvalidRequest"))
    assert isinstance(known.error, ObjectRefused)
    assert not known.ask_bucket


@pytest.mark.parametrize(
    "trouble",
    [
        *(
            Refusal(status, code)
            for status, code in ((503, "SlowDown"), (500, ""), (400, "ExpiredToken"))
        ),
        *Fault,
    ],
)
def test_advice_does_not_say_what_only_a_daemon_does(trouble: Refusal | Fault) -> None:
    subject = Subject("PutObject", "nas", "k")
    judged = (
        judge_fault(subject, trouble) if isinstance(trouble, Fault) else judge_refusal(subject, trouble)
    )
    assert judged.error.hint
    assert "daemon" not in judged.error.sentence
    assert "by itself" not in judged.error.sentence


@pytest.mark.parametrize(
    ("document", "date", "skew"),
    [
        ({"RequestTime": "20270115T070000Z", "ServerTime": "2027-01-15T08:00:00Z"}, None, -3600.0),
        (
            {"RequestTime": "Fri, 15 Jan 2027 09:00:00 GMT", "ServerTime": "2027-01-15T08:00:00Z"},
            "Fri, 15 Jan 2027 07:00:00 GMT",
            3600.0,
        ),
        ({"ServerTime": "2027-01-15T08:00:00.000Z"}, None, 0.0),
        ({}, "Fri, 15 Jan 2027 07:58:00 GMT", 120.0),
        ({"ServerTime": "noon"}, "yesterday", None),
        ({}, None, None),
    ],
)
def test_the_skew_is_read_from_the_document_or_the_header(
    document: dict[str, str], date: str | None, skew: float | None
) -> None:
    assert skew_of(document, date, now=NOW) == skew


@pytest.mark.parametrize(
    ("skew", "words"),
    [(-3780.0, "1h 3m behind the store's"), (59.0, "59s ahead of"), (-90_000.0, "1d 1h behind")],
)
def test_the_words_for_a_skew(skew: float, words: str) -> None:
    assert words in skew_words(skew)


def test_a_skew_that_is_not_told_may_be_told_by_another_answer() -> None:
    subject = Subject("PutObject", "nas", "k")
    silent = judge_refusal(subject, Refusal(403, "RequestTimeTooSkewed"))
    assert silent.patience is Patience.BRIEF
    telling = judge_refusal(subject, Refusal(403, "RequestTimeTooSkewed", skew=-3780.0))
    assert telling.patience is Patience.NONE
    assert "1h 3m behind" in str(telling.error)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("nas.s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("nas.s3-us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("nas.s3.dualstack.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("nas.s3.amazonaws.com", ""),
        ("s3.example.com", ""),
    ],
)
def test_a_region_is_read_from_the_endpoint(endpoint: str, region: str) -> None:
    document = {"Code": "PermanentRedirect", "Endpoint": endpoint}
    assert refusal_of(301, document, {}, now=NOW).region == region
