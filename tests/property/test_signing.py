"""Our signatures against those of botocore, who has signed for S3 for ten years."""

import hashlib
import string
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.core.ports import SigningKeys
from hotfolder.core.s3_words import part_query
from hotfolder.core.signing import Signer

_PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)
_NAMES = st.text(st.sampled_from(string.ascii_letters + string.digits + "-"), min_size=1, max_size=20)
_TOKEN = st.text(st.sampled_from(string.ascii_letters + string.digits + "/+="), min_size=1, max_size=60)
_OURS = {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
_NEVER_SIGNED = {"authorization", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}


class OfThatBody(S3SigV4Auth):
    """Signs a body of which it has the SHA-256 alone."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["sha256"])


def of_botocore(
    url: str, headers: dict[str, str], sha256: bytes, keys: SigningKeys, region: str, moment: str
) -> str:
    """The value of the Authorization header."""
    request = AWSRequest("PUT", url, headers=dict(headers))
    request.context.update(timestamp=moment, sha256=sha256.hex())
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    signer: Any = OfThatBody(credentials, "s3", region)  # its stubs hide the steps of signing
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    return str(request.headers["Authorization"])


@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    headers=st.dictionaries(_NAMES.map(str.lower), _PRINTABLE, max_size=8),
    body=st.binary(max_size=8),
    secrets=st.lists(_TOKEN, min_size=2, max_size=2),
    token=st.none() | _TOKEN,
    region=st.sampled_from(["us-east-1", "eu-central-1", "auto"]),
    upload_id=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    days=st.lists(st.datetimes().map(lambda at: at.strftime("%Y%m%dT%H%M%SZ")), min_size=2, max_size=2),
)
def test_signs_as_botocore_does(
    key: str,
    headers: dict[str, str],
    body: bytes,
    secrets: list[str],
    token: str | None,
    region: str,
    upload_id: str | None,
    days: list[str],
) -> None:
    path, signer = f"/bucket/{quote(key, safe='/~')}", Signer(region)
    given_headers = {name: said for name, said in headers.items() if name not in _OURS | _NEVER_SIGNED}
    query = "" if upload_id is None else part_query(upload_id, len(key))
    sha256 = hashlib.sha256(body).digest()
    for moment in days:  # one signer, and a key derived for each day and secret
        for secret in secrets:
            keys = SigningKeys("AKID", secret, token)
            lines = signer.signed(
                "PUT",
                path,
                {"host": "store.example:9000", **given_headers},
                sha256=sha256,
                keys=keys,
                moment=moment,
                query=query,
            )
            signed = dict(line.split(": ", 1) for line in lines.split("\r\n")[:-1])
            url = f"http://store.example:9000{path}?{query}".removesuffix("?")
            theirs = of_botocore(url, given_headers, sha256, keys, region, moment)
            assert signed["authorization"] == theirs
            assert signed["x-amz-content-sha256"] == sha256.hex()
            assert signed["x-amz-date"] == moment
            assert signed.get("x-amz-security-token") == token
