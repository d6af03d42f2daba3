"""What a ledger line says of an object's bytes, reckoned as its reader would."""

import hashlib


def as_said(checksum: str, stored: bytes) -> str:
    """`checksum_compressed` of `stored`, in the kind that the line's own is of."""
    kind, _, _ = checksum.partition(":")
    if kind == "sha256":
        return f"sha256:{hashlib.sha256(stored).hexdigest()}"
    size = int(kind.removeprefix("sha256-parts-"))
    runs = [stored[start : start + size] for start in range(0, len(stored), size)]
    whole = hashlib.sha256(b"".join(hashlib.sha256(run).digest() for run in runs))
    return f"{kind}:{whole.hexdigest()}"
