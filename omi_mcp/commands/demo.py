"""`omi-mcp demo`: a short session for someone with no account."""

import argparse

NAME = "demo"
HELP = "play a short session with the sample library and show every call and answer"


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    from omi_mcp import demo

    return demo.play()
