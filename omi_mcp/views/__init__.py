"""What a model reads: small, exact and honest renderings of conversations. Pure functions, no I/O."""
