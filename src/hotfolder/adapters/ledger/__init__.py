"""The ledger on disk: JSON lines, appended under a lock, chained by hash, believed only when fsynced.

file.py appends; files.py knows which files there are and reads them; rotation.py puts a full file
away; following.py goes on with the end; chain.py checks it all.
"""

from hotfolder.adapters.ledger.chain import ChainBroken, Verified, verify_chain
from hotfolder.adapters.ledger.file import ROTATE_AT, FileLedger
from hotfolder.adapters.ledger.following import Follower, LedgerLine
from hotfolder.adapters.ledger.reading import GENESIS

__all__ = [
    "GENESIS",
    "ROTATE_AT",
    "ChainBroken",
    "FileLedger",
    "Follower",
    "LedgerLine",
    "Verified",
    "verify_chain",
]
