"""`omi-mcp doctor`: what is wrong, and what to do about it."""

import argparse

NAME = "doctor"
HELP = "check this installation, the key, the Omi API, the copy and the assistants on this computer"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def run(options: argparse.Namespace) -> int:
    """0 when nothing is wrong, 1 when something is."""
    import anyio

    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    import json
    import logging
    from dataclasses import asdict

    from omi_mcp import environment
    from omi_mcp._version import __version__
    from omi_mcp.clock import SystemClock
    from omi_mcp.doctor import Finding, examine
    from omi_mcp.hosts.known import Machine
    from omi_mcp.settings import Settings, SettingsError

    marks = {"ok": "ok  ", "note": "note", "problem": "FAIL"}
    found: list[Finding] = []
    saved = False
    settings: Settings | SettingsError
    try:
        settings, saved = environment.read()
    except SettingsError as error:
        settings = error
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # what it says of servers that do not start is told by findings
    async for finding in examine(settings, Machine.this(), SystemClock(), saved=saved):
        found.append(finding)
        if not options.json:
            print(f"{marks[finding.level]}  {finding.check}: {finding.found}", flush=True)
            if finding.remedy:
                print(f"      -> {finding.remedy}", flush=True)
    problems = sum(finding.level == "problem" for finding in found)
    if options.json:
        report = {"version": __version__, "problems": problems, "findings": [asdict(finding) for finding in found]}
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        print(f"\n{problems} {'problem' if problems == 1 else 'problems'}" if problems else "\nNothing is wrong.")
    return 1 if problems else 0
