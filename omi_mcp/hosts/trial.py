"""A host's entry tried as the host would: its command started over stdio, and asked what it offers."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

START_SECONDS = 30.0

LONGEST_WORDS = 300
"""Characters of what a command that does not start says about it."""

_PLACEHOLDER = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_KEY = re.compile(r"(omi_(?:dev|mcp)_)\S+")


class NoServer(Exception):
    """What the entry starts does not serve. `str()` says why, in its own last words where it had some."""


async def start(command: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Start a server in `folder`, ask for its tools, stop it, and return their names. Nothing is asked of the Omi API.

    Like a host it gets little of this process's environment, and `environment`.

    Raises:
        NoServer: there is none.
    """
    parameters = StdioServerParameters(command=command, args=list(arguments), env=dict(environment), cwd=folder)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            with anyio.fail_after(START_SECONDS):
                async with Client(stdio_client(parameters, errlog=said)) as client:
                    return [tool.name for tool in (await client.list_tools()).tools]
        except TimeoutError:
            raise NoServer(f"it does not answer within {START_SECONDS:.0f} s{_last_words(said)}") from None
        except OSError as error:
            raise NoServer(f"it cannot be started ({error.strerror or type(error).__name__})") from None
        except Exception:
            # The SDK's client fails in many ways, in groups too, when what it started is no server.
            raise NoServer(f"it does not serve{_last_words(said)}") from None


def filled(environment: Mapping[str, str], env: Mapping[str, str], home: Path) -> dict[str, str]:
    """`environment` with the placeholders that hosts fill in; one that nothing here is known for stays."""
    known = {"userHome": str(home), **env}

    def fill(match: re.Match[str]) -> str:
        return known.get(match[1], match[0] if match[2] is None else match[2])

    return {name: _PLACEHOLDER.sub(fill, value) for name, value in environment.items()}


def _last_words(said: TextIO) -> str:
    said.seek(0)
    lines = [line.strip() for line in said.read().splitlines() if line.strip()]
    return ": " + _KEY.sub(r"\1...", lines[-1])[:LONGEST_WORDS] if lines else ""
