"""What several machines share, in PostgreSQL. Imported where `OMI_MCP_DATABASE_URL` is set, and nowhere else.

Nothing outside this room knows psycopg. Everything blocks: call it from a worker thread, through `database.run`.
"""
