"""The page on reliability promises nothing that no test holds."""

import re
from pathlib import Path

from omi_mcp.sandbox import KINDS

PROJECT = Path(__file__).resolve().parents[1]
PAGE = (PROJECT / "docs" / "reliability.md").read_text("utf-8")
TABLE = PAGE.split("| fault |")[1].split("\n\n")[0]
ROWS = [[cell.strip() for cell in row.strip("|").split("|")] for row in TABLE.splitlines()[2:]]


def test_every_fault_of_the_sandbox_is_in_the_table() -> None:
    named = re.findall(r"`([a-z-]+)(?:=s)?`", " ".join(fault for fault, *_ in ROWS))
    by_status = re.findall(r"\b[45]\d\d\b", " ".join(fault for fault, *_ in ROWS))
    assert sorted({*named, *by_status}) == sorted(KINDS)


def test_every_row_names_tests_that_there_are() -> None:
    there = {path.stem for path in (PROJECT / "tests").rglob("test_*.py")}
    there |= {path.name for path in (PROJECT / "benchmarks").glob("*.py")}
    for fault, _, tested in ROWS:
        named = re.findall(r"`([\w.]+)`", tested)
        assert named, fault
        assert set(named) <= there, fault
