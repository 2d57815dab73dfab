"""Transcripts of other programs, and of an export, as conversations to create. No network.

A file is read by its format (`formats/`, into the values of `transcript`), becomes sources with a start and an identity
(`sources`), and each source a plan of what is sent (`plans`). `speakers` weighs what begins a line: name or words.
"""

from omi_mcp.importing.formats import FORMATS
from omi_mcp.importing.plans import Plan, plan_import
from omi_mcp.importing.sources import Source, find_files, read_file
from omi_mcp.importing.transcript import Transcript, Unreadable

__all__ = ["FORMATS", "Plan", "Source", "Transcript", "Unreadable", "find_files", "plan_import", "read_file"]
