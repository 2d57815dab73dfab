"""The MCP hosts on a person's computer: where each keeps its configuration, and how this server is entered there."""
