"""Hold the server to hosts that were built with older MCP SDKs: each in an environment of its own, over stdio."""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parents[1]
SESSION = Path(__file__).with_name("old_client_session.py")

VERSIONS = ("1.6.0", "1.12.4", "1.30.0")
"""The last ones to speak 2024-11-05, 2025-06-18 and 2025-11-25."""

OF_THEIR_TIME = "pydantic<2.12"
"""The older ones use what later releases of it no longer have."""

STEP_SECONDS = 300


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    failed = 0
    for version in VERSIONS:
        python = environment(platformdirs.user_cache_path("omi-mcp-old-clients", appauthor=False) / version, version)
        print(f"== mcp {version}", flush=True)
        session = subprocess.run(
            [python, SESSION, sys.executable, "-m", "omi_mcp", "--demo"], cwd=PROJECT, timeout=STEP_SECONDS, check=False
        )
        failed += session.returncode != 0
    print(f"\n{len(VERSIONS) - failed} passed, {failed} failed")
    return 1 if failed else 0


def environment(folder: Path, version: str) -> Path:
    """The Python of an environment that has this SDK; made on first use."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            f"mcp=={version}",
            OF_THEIR_TIME,
        ]
        subprocess.run(pip, timeout=STEP_SECONDS, check=True)
        done.touch()
    return python


if __name__ == "__main__":
    sys.exit(main())
