"""`omi-mcp completion`: a script that lets a shell complete commands and options."""

import argparse

NAME = "completion"
HELP = "print what lets a shell complete commands and options"
SHELLS = ("bash", "zsh", "tcsh")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which shell; docs/cli.md says where its script goes")


def run(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(options.top, options.shell))
    return 0
