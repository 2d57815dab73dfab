"""`omi-mcp doctor`: what is right and what is wrong, each finding with what to do about it."""

import argparse
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict

import anyio

from omi_mcp import environment
from omi_mcp._version import __version__
from omi_mcp.clock import SystemClock
from omi_mcp.commands.doctor import here, outside
from omi_mcp.commands.doctor.findings import Finding, Level
from omi_mcp.hosts import Machine
from omi_mcp.settings import Settings, SettingsError

MARKS: dict[Level, str] = {"ok": "ok  ", "note": "note", "problem": "FAIL"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        help="check a server on the web instead, from outside, as ChatGPT or Claude would connect to it: "
        "https://omi.example.com; sends no key and no token",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def run(options: argparse.Namespace) -> int:
    """0 when nothing is wrong, 1 when something is."""
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    found: list[Finding] = []
    async for finding in outside.examine(options.url) if options.url is not None else _here():
        found.append(finding)
        if not options.json:
            print(f"{MARKS[finding.level]}  {finding.check}: {finding.found}", flush=True)
            if finding.remedy:
                print(f"      -> {finding.remedy}", flush=True)
    problems = sum(finding.level == "problem" for finding in found)
    if options.json:
        report = {"version": __version__, "problems": problems, "findings": [asdict(finding) for finding in found]}
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        print(f"\n{problems} {'problem' if problems == 1 else 'problems'}" if problems else "\nNothing is wrong.")
    return 1 if problems else 0


def _here() -> AsyncIterator[Finding]:
    saved = False
    settings: Settings | SettingsError
    try:
        settings, saved = environment.read()
    except SettingsError as error:
        settings = error
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # what it says of servers that do not start is told by findings
    return here.examine(settings, Machine.this(), SystemClock(), saved=saved)
