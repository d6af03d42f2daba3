"""What is sent again after kill -9 halfway through a large upload."""

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.box import Box, uploads_in
from tests.support.counting_proxy import CountingProxy
from tests.support.verdict import Verdict
from tests.support.victim import Victim


@dataclass(frozen=True, slots=True)
class Resent:
    """Bytes: of the object, that the store had when the daemon was killed, and that were sent."""

    size: int
    had: int
    sent_before: int
    sent_after: int
    part: int
    verdict: Verdict

    @property
    def again(self) -> int:
        """What the second run sent beyond what the store did not have yet (headers and all)."""
        return self.sent_after - (self.size - self.had)


def resent(box: Box, *, size: int, seed: int = 1, part_size: str = "auto") -> Resent:
    """Deliver one file of `size` bytes that do not compress, killed once half of it has been sent."""
    victim = Victim(box, seed=seed)
    with CountingProxy(urlsplit(box.endpoint_url).port or 80) as proxy:
        box.configure(
            'settle = "100ms"',
            f'[transfer]\npart_size = "{part_size}"',
            endpoint_url=f"http://127.0.0.1:{proxy.port}",
        )
        victim.drop_random("large.bin", size)
        box.start(wait=False)
        while proxy.sent < size // 2:
            time.sleep(0.001)
        box.kill()
        had, part = _at_rest(box, proxy)
        before = proxy.sent
        verdict = victim.inspector.wreck()
        verdict.add(victim.settle_down())
        (line,) = box.ledger()
        return Resent(
            size=line["compressed_size"],
            had=had,
            sent_before=before,
            sent_after=proxy.sent - before,
            part=part,
            verdict=verdict,
        )


def _at_rest(box: Box, proxy: CountingProxy) -> tuple[int, int]:
    """`_in_store` once what was on the way has arrived: the same for a second."""
    seen = (proxy.sent, _in_store(box))
    while True:
        time.sleep(1)
        now = (proxy.sent, _in_store(box))
        if now == seen:
            return now[1]
        seen = now


def _in_store(box: Box) -> tuple[int, int]:
    """Bytes of whole parts that the store has, and of the largest part."""
    s3 = box.s3()
    sizes: dict[int, int] = {}
    for upload in uploads_in(s3, box.bucket):
        pages = s3.get_paginator("list_parts").paginate(
            Bucket=box.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
        sizes |= {part["PartNumber"]: part["Size"] for page in pages for part in page.get("Parts", [])}
    return sum(sizes.values()), max(sizes.values(), default=0)
