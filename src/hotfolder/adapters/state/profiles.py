"""What stores were seen to do."""

import json
from dataclasses import asdict, fields

from hotfolder.adapters.state.database import Table
from hotfolder.core.profile import Profile, Seen


class SqliteProfiles(Table):
    """`core.ports.Profiles` in the SQLite file `path`. One owner at a time, as `StateDb`."""

    def all(self) -> dict[str, Seen]:
        with self._db.connection() as connection:
            rows = connection.execute("SELECT key, seen_at, profile FROM profiles").fetchall()
        read = ((key, seen_at, _profile(text)) for key, seen_at, text in rows)
        return {key: Seen(profile, seen_at) for key, seen_at, profile in read if profile is not None}

    def keep(self, key: str, seen: Seen) -> None:
        with self._db.transaction(durable=False) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?)",
                (key, seen.at, json.dumps(asdict(seen.profile))),
            )


def _profile(text: str) -> Profile | None:
    """None: another version wrote it, which saw other things."""
    try:
        values = json.loads(text)
    except ValueError:
        return None  # as if it had never been asked
    known = {field.name for field in fields(Profile)}
    return Profile(**values) if isinstance(values, dict) and set(values) == known else None
