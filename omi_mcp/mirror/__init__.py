"""The local copy of a person's conversations: kept in SQLite, searched there, synced in the background."""
