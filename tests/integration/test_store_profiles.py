"""What real stores are seen to do, and that nothing of the looking is left in them."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hotfolder.adapters.s3 import S3Settings
from hotfolder.core.errors import ConfigError
from hotfolder.core.profile import Profile
from hotfolder.core.records import ObjectInfo, Verification
from hotfolder.core.store_survey import profile_of
from hotfolder.surveying import Surveyor, survey, surveyor
from tests.support.juicefs import JuiceFS
from tests.support.profiles import AS_S3
from tests.support.s3_stores import Abilities, SecureSeaweedFS, Server, write_credentials


async def seen(settings: S3Settings) -> Profile:
    async with surveyor(settings, "nas1") as asking:
        answers, skew = await asking.ask("token", time.time)
        assert await left(asking) == []
    assert skew is not None
    assert abs(skew) < 60
    return replace(profile_of(answers), skew_seconds=0.0)


async def left(asking: Surveyor) -> list[object]:
    objects: AsyncIterator[ObjectInfo] = asking.store.list("")
    return [each async for each in objects] + [each async for each in asking.store.list_uploads("")]


async def test_juicefs(juicefs: JuiceFS, tmp_path: Path) -> None:
    file = write_credentials(tmp_path / "keys", juicefs.access_key, juicefs.secret_key)
    settings = Server(
        juicefs.endpoint_url, juicefs.access_key, juicefs.secret_key, file, Abilities()
    ).make_bucket("profiled")
    profile = await seen(settings)
    assert (profile.put_proof, profile.upload_proof) == (Verification.ETAG, Verification.ETAG)
    # It knows no checksums at all, and refuses wrong bytes by the signature alone.
    lacks = (
        *("put_names", "head_names", "put_refuses_checksum"),
        *("part_names", "part_refuses_checksum", "complete_names", "complete_head_names"),
        *("lists_checksums", "condition_on_put", "condition_on_complete", "trailers"),
    )
    assert profile == replace(AS_S3, **dict.fromkeys(lacks, False))


async def test_https(seaweed: SecureSeaweedFS, s3_settings: S3Settings) -> None:
    secure = replace(s3_settings, endpoint_url=seaweed.secure_url, ca_bundle=seaweed.authority.bundle)
    assert await seen(secure) == await seen(s3_settings)


async def test_seaweedfs(s3_settings: S3Settings) -> None:
    # It does not compare a body with its signature, and lists no checksums.
    assert await seen(s3_settings) == replace(
        AS_S3, put_refuses_signature=False, part_refuses_signature=False, lists_checksums=False
    )


async def test_no_address_at_all(s3_settings: S3Settings) -> None:
    with pytest.raises(ConfigError):
        await survey(replace(s3_settings, endpoint_url="no address"), "", "token", time.time)
