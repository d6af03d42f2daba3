"""What the SQLite file `state.db` holds: one module a table, each with its own connection."""
