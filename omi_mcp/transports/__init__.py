"""How a host reaches the server."""

import argparse

LAST_PORT = 65_535


def port_number(text: str) -> int:
    """The value of a `--port`. Raises ArgumentTypeError with what is accepted."""
    if not (text.isascii() and text.isdecimal() and int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError(f"a number from 0 to {LAST_PORT} is needed")
    return int(text)
