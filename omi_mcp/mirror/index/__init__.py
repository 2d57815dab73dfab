"""What of a conversation can be found by words, and the texts it is made of, in SQLite FTS5."""
