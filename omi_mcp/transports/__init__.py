"""How a host reaches the server."""
