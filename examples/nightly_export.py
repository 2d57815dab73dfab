"""Keep a folder of Markdown in step with Omi, every night.

    15 3 * * *  OMI_API_KEY_FILE=$HOME/.omi-key /path/to/.venv/bin/python nightly_export.py ~/notes/omi   # crontab

It does not wait for the hourly limit: what is not there yet comes the next night, and is no failure. A line is appended
to omi-export.log beside the folder; only what a person has to look at goes to standard error, which cron mails.
"""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

DONE, INCOMPLETE = 0, 3
"""Exit codes of `omi-mcp export`."""


def main(folder: Path) -> int:
    command = [sys.executable, "-m", "omi_mcp", "export", str(folder), "--format", "markdown", "--no-wait"]
    ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "omi-export.log").open("a", encoding="utf-8") as log:
        words = " ".join((ended.stdout + ended.stderr).split())
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M} exit {ended.returncode}: {words}\n")
    if ended.returncode not in (DONE, INCOMPLETE):
        print(ended.stderr.strip(), file=sys.stderr)
        return ended.returncode
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: nightly_export.py FOLDER", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(Path(sys.argv[1]).expanduser()))
