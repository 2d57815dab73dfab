"""The viewer of a conversation: one page without dependencies, shown by hosts that render MCP Apps, or by a browser.

A host brings it what it shows by messages (MCP Apps, 2026-01-26); for a browser that is written into the page itself.
Whatever was said goes into the page as text, never as markup.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omi_mcp.views.budgets import compact_json

URI = "ui://omi/conversation.html"

DATA = "omi-mcp/view"
"""The key in a result's `_meta` under which the page finds what it shows: for the page, not for the model."""

FILE = Path(__file__).with_name("viewer.html")

META = {"ui": {"permissions": {"clipboardWrite": {}}, "prefersBorder": True}}
"""What the page asks of a host: to copy when the reader wants that, and nothing else. It needs no network."""

_BLOCK = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page(data: Mapping[str, Any]) -> str:
    """The page with what it shows in it."""
    # Inside a script element only `<` can begin anything that is not data.
    given = compact_json(data).replace("<", "\\u003c")
    before, script, after = FILE.read_text("utf-8").partition("<script>")
    return f'{before}<script type="application/json" id="given">{given}</script>\n{script}{after}'


def policy(page: str) -> str:
    """The content security policy that lets `page` run its own script and style, and ask only where it came from."""
    allowed: dict[str, str] = {}
    for kind, content in _BLOCK.findall(page):
        allowed[kind] = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{allowed['script']}'; style-src 'sha256-{allowed['style']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
