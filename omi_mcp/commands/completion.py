"""`omi-mcp completion`: a script that lets a shell complete commands and options."""

import argparse

import shtab

SHELLS = ("bash", "zsh", "tcsh")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which shell; docs/cli.md says where its script goes")


def run(options: argparse.Namespace) -> int:
    print(shtab.complete(options.parser(), options.shell))
    return 0
