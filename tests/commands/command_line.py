"""The command line as a page of documentation: what docs/cli.md has to say of every command and option.

`python -m tests.commands.command_line`, from the repository, writes it there.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from omi_mcp import cli

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN, END = "<!-- commands, written by tests/commands/command_line.py -->", "<!-- end of commands -->"


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command line there is, sub-commands included: `omi-mcp mirror purge`."""
    yield from _below(cli.parser())


def rows(parser: argparse.ArgumentParser) -> list[str]:
    """A table row for each argument and option."""
    return [
        f"| `{_shown(action)}` | {_help(parser, action)} |"
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)
    ]


def _below(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _below(sub)


def _shown(action: argparse.Action) -> str:
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else None)
    if not action.option_strings:
        return str(value or action.dest) + (" ..." if action.nargs in ("+", "*") else "")
    takes = action.nargs != 0
    return ", ".join(action.option_strings) + (f" {value or action.dest.upper()}" if takes else "")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return text.replace("|", "\\|")


def document() -> str:
    """All of it, a section for each command."""
    sections = []
    for name, parser in commands():
        said = parser.description if name != "omi-mcp" else cli.DEFAULT
        table = "\n".join(["| | |", "|---|---|", *rows(parser)])
        sections.append(f"### {name}\n\n{said}\n" + (f"\n{table}\n" if rows(parser) else ""))
    return "\n".join(sections)


def documented() -> str:
    """The same, as the page has it."""
    return PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip() + "\n"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{document()}\n{END}{rest.partition(END)[2]}", "utf-8")
