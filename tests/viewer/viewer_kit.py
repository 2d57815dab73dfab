"""Hosts for the viewer, in a real browser: a page of ours that does what the specification asks of a host, and the
official bridge. Both hold the view in the double frame of two origins, under the specification's default policy."""

import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client import advertise
from mcp.types import CallToolResult

from omi_mcp import viewer

HERE = Path(__file__).parent
MODULES = Path(os.environ.get("OMI_TEST_NODE_MODULES", HERE.parents[1] / "node_modules"))
"""Where npm put `axe-core` and `@modelcontextprotocol/ext-apps`."""

CHROMIUM = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser"))), None)

TIMEOUT = 20_000
"""Milliseconds that anything in the browser may take."""

APPS = advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/html;profile=mcp-app"]})

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; object-src 'none'; base-uri 'self'"
)
"""What a host must use where a view declares no domains; `frame-src` stands beside it, for the inner frame itself."""

IMPORTS = {
    "@modelcontextprotocol/ext-apps/app-bridge": "@modelcontextprotocol/ext-apps/dist/src/app-bridge.js",
    "@modelcontextprotocol/client": "@modelcontextprotocol/client/dist/index.mjs",
    "@modelcontextprotocol/client/_shims": "@modelcontextprotocol/client/dist/shimsBrowser.mjs",
    "@modelcontextprotocol/core": "@modelcontextprotocol/core/dist/index.mjs",
    "@modelcontextprotocol/core/internal": "@modelcontextprotocol/core/dist/internal.mjs",
    "eventsource": "eventsource/dist/index.js",
    "eventsource-parser": "eventsource-parser/dist/index.js",
    "eventsource-parser/stream": "eventsource-parser/dist/stream.js",
    "pkce-challenge": "pkce-challenge/dist/index.browser.js",
    "zod/v4": "zod/v4/index.js",
}

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript"}


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        file = MODULES / path.removeprefix("npm/") if path.startswith("npm/") else HERE / path
        if not file.is_file():
            self.send_error(404)
            return
        body = file.read_bytes()
        if path == "bridge.html":
            imports = {name: f"/npm/{where}" for name, where in IMPORTS.items()}
            body = body.replace(b"@importmap@", json.dumps({"imports": imports}).encode())
        self.send_response(200)
        self.send_header("Content-Type", TYPES[file.suffix])
        if path == "sandbox.html":
            self.send_header("Content-Security-Policy", f"{POLICY}; frame-src 'self'")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def origin() -> Iterator[str]:
    """An origin on this computer that serves the pages of this folder, and npm's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def wire(result: CallToolResult) -> dict[str, Any]:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass
class View:
    """The viewer as it stands in a host: `frame` is its own, `page` the host's."""

    page: Any
    frame: Any
    calls: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def by(self, selector: str) -> Any:
        return self.frame.locator(selector)

    async def text(self, selector: str) -> str:
        return (await self.by(selector).inner_text()).strip()

    async def until(self, condition: str, *, timeout: float = TIMEOUT) -> None:
        """Wait until a JavaScript expression is true in the view, whose policy forbids what Playwright would do."""
        look = f"const look = () => ({condition}) ? done() : requestAnimationFrame(look); look();"
        try:
            with anyio.fail_after(timeout / 1000):
                await self.frame.evaluate(f"new Promise(done => {{ {look} }})")
        except TimeoutError:
            raise AssertionError(f"never true: {condition}") from None

    async def in_sight(self) -> list[str]:
        """The words of the turns that can be seen now."""
        return await self.frame.evaluate(
            """() => { const all = document.getElementById('spoken').getBoundingClientRect();
            return [...document.querySelectorAll('.turn')].filter(turn => {
              const box = turn.getBoundingClientRect(); return box.bottom > all.top + 4 && box.top < all.bottom - 4;
            }).map(turn => turn.querySelector('.words').textContent); }"""
        )


Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Host:
    """What a host is like. `forms` are the parts of a tool's result that it hands to a view."""

    bridge: bool = False
    tools: bool = True
    forms: tuple[str, ...] = ("content", "structuredContent", "_meta")
    context: dict[str, Any] = field(default_factory=dict)
    width: int = 900
    height: int = 900
    touch: bool = False
    answer: Answer | None = None


@asynccontextmanager
async def shown(
    browser: Any, client: Client, arguments: dict[str, Any], host: Host | None = None
) -> AsyncIterator[View]:
    """What `show_conversation` answers, in the view of a host."""
    host = host or Host()
    result = wire(await client.call_tool("show_conversation", arguments))
    (resource,) = (await client.read_resource(viewer.URI)).contents
    ui = (resource.meta or {}).get("ui", {})

    async def call_tool(source: Any, params: dict[str, Any]) -> dict[str, Any]:
        view.calls.append(params)
        if host.answer is not None:
            return await host.answer(params)
        return wire(await client.call_tool(params["name"], params["arguments"]))

    context = await browser.new_context(
        viewport={"width": host.width, "height": host.height}, has_touch=host.touch, is_mobile=host.touch
    )
    context.set_default_timeout(TIMEOUT)
    try:
        with origin() as outside, origin() as inside:
            page = await context.new_page()
            view = View(page, None)
            page.on("request", lambda request: view.requests.append(request.url))
            page.on("pageerror", lambda error: view.troubles.append(str(error)))
            page.on("console", lambda message: view.troubles.append(message.text) if message.type == "error" else None)
            await page.expose_binding("callTool", call_tool)
            await page.goto(f"{outside}/{'bridge' if host.bridge else 'host'}.html")
            await page.wait_for_function("typeof show === 'function'")
            given = {
                "html": resource.text,
                "ui": ui,
                "sandbox": f"{inside}/sandbox.html",
                "capabilities": {"serverTools": {}} if host.tools else {},
                "context": host.context,
                "arguments": arguments,
                "result": {"content": [], **{form: result[form] for form in host.forms if form in result}},
            }
            await page.evaluate("given => { show(given); }", given)
            inner = page.frame_locator("#outer").frame_locator("iframe")
            await inner.locator("h1:not(:has-text('Opening'))").wait_for()
            view.frame = next(frame for frame in page.frames if frame.parent_frame and frame.parent_frame.parent_frame)
            yield view
            assert view.troubles == []
            assert [url for url in view.requests if not url.startswith((outside, f"{inside}/sandbox.html"))] == []
    finally:
        await context.close()


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A real browser. Skips the test, by name of what is missing, where there is none."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (CHROMIUM names one)")
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"]
        )
        try:
            yield browser
        finally:
            await browser.close()


def npm(package: str) -> Path:
    """Where npm put a package. Skips the test where it did not."""
    if not (MODULES / package).is_dir():
        pytest.skip(f"{package} is not installed: npm install --prefix FOLDER {package}, and OMI_TEST_NODE_MODULES")
    return MODULES / package
