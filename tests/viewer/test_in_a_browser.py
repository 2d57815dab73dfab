"""`omi-mcp show --open`, in a real browser: the same page, without a host, until it is closed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from test_viewer import LONG, day
from viewer_kit import TIMEOUT, npm

from omi_mcp.sandbox import Sandbox
from omi_mcp.sandbox.serve import serving

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def test_a_whole_day_in_the_browser_until_the_page_is_closed(
    browser: Any, sandbox: Sandbox, tmp_path: Path
) -> None:
    axe = (npm("axe-core") / "axe.min.js").read_text("utf-8")
    sandbox.load([day()])
    async with serving(sandbox) as base_url:
        settings = {"OMI_API_KEY": sandbox.key, "OMI_API_BASE_URL": base_url, "OMI_MCP_DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "omi_mcp", "show", "day", "--open", "--segment", "1000"]
        environment = os.environ | settings | {"BROWSER": "true %s", "OMI_MCP_TIMEZONE": "Europe/Berlin"}
        context = await browser.new_context()
        process = await anyio.open_process(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            with anyio.fail_after(6 * TIMEOUT / 1000):
                url = await told(process)
                page = await context.new_page()
                troubles: list[str] = []
                asked: list[str] = []
                page.on("pageerror", lambda error: troubles.append(str(error)))
                page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
                page.on("request", lambda request: asked.append(request.url))
                await page.goto(url)
                await page.locator(".turn.asked").wait_for()
                assert await page.locator(".turn").count() == LONG
                assert "Halfway" in await page.locator(".turn.asked").inner_text()
                assert await page.evaluate("document.querySelector('main').offsetHeight === innerHeight")
                await page.locator("#query").fill("lighthouse")
                await page.locator("#count", has_text="of 3").wait_for()
                await page.reload()
                await page.locator(".turn.asked").wait_for()
                assert {each.removeprefix(url) for each in asked} <= {"", "open", "data:,"}
                assert troubles == []
                await page.evaluate(f"(() => {{ {axe} }})()")
                assert await page.evaluate("axe.run('header, .bar').then(found => found.violations.length)") == 0
                await context.close()
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()
            await context.close()


async def told(process: anyio.abc.Process) -> str:
    """The address that the command tells."""
    assert process.stderr is not None
    said = ""
    while "until" not in said:
        said += (await process.stderr.receive()).decode()
    words = said.split()
    return words[words.index("at") + 1]
