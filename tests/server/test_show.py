"""`show_conversation`: for hosts that render MCP Apps, and nothing at all for the others."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hosting import Connect, call, first_cause, refusal, talk, text_of
from mcp import Client
from mcp.client import advertise
from mcp.shared.exceptions import MCPError

from omi_mcp import viewer
from omi_mcp.sandbox import Sandbox
from omi_mcp.server import build_server
from omi_mcp.settings import Settings

pytestmark = pytest.mark.anyio

APP = "text/html;profile=mcp-app"
EXTENSION = "io.modelcontextprotocol/ui"
TOOL = "show_conversation"

Rendering = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=["auto", "legacy"])
def rendering(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Rendering:
    """Opens an MCP client that renders MCP Apps, or says `declared` of itself, in each protocol era."""

    @asynccontextmanager
    async def connected(declared: Any = None, **changes: Any) -> AsyncIterator[Client]:
        given: dict[str, Any] = {
            "timezone": ZoneInfo("Europe/Berlin"),
            "data_dir": tmp_path,
            "api_key": sandbox.key,
            "base_url": sandbox.base_url,
        }
        server = build_server(Settings(**(given | changes)), transport=sandbox.transport())
        extension = advertise(EXTENSION, declared or {"mimeTypes": [APP]})
        try:
            async with Client(server, mode=request.param, extensions=[extension]) as client:
                yield client
        except BaseExceptionGroup as group:
            raise first_cause(group) from None

    return connected


async def listed(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


async def test_it_is_listed_where_the_host_renders_apps_and_beside_what_all_hosts_have(
    connect: Connect, rendering: Rendering
) -> None:
    async with connect() as client:
        plain = (await client.list_tools()).tools
    async with rendering() as client:
        tools = (await client.list_tools()).tools
        assert tools[:-1] == plain
        assert tools[-1].name == TOOL
        assert (tools[-1].meta or {})["ui"] == {"resourceUri": viewer.URI}
        assert all("ui" not in (tool.meta or {}) for tool in plain), "the viewer is bound to no other tool"
        (page,) = (await client.read_resource(viewer.URI)).contents
        assert page.mime_type == APP
        assert (page.meta or {})["ui"]["permissions"] == {"clipboardWrite": {}}
        assert "csp" not in (page.meta or {})["ui"], "it needs no network"


async def test_the_listing_stays_cheap_with_it(rendering: Rendering) -> None:
    async with rendering() as client:
        tools = (await client.list_tools()).tools
        shown = tools[-1]
        assert sum(len(tool.model_dump_json(by_alias=True, exclude_none=True)) + 1 for tool in tools) < 16_000
        assert set(shown.input_schema) <= {"type", "properties", "required"}


@pytest.mark.parametrize("declared", [{"mimeTypes": []}, {"mimeTypes": ["text/html"]}, {"mimeTypes": "all"}, {"x": 1}])
async def test_a_host_that_renders_something_else_is_not_offered_it(rendering: Rendering, declared: Any) -> None:
    async with rendering(declared) as client:
        assert TOOL not in await listed(client)


async def test_the_setting_offers_it_to_every_host_or_to_none(connect: Connect, rendering: Rendering) -> None:
    async with connect(viewer="on") as client:
        assert TOOL in await listed(client)
    async with rendering(viewer="off") as client:
        assert TOOL not in await listed(client)
        with pytest.raises(MCPError):
            await client.read_resource(viewer.URI)


async def test_the_page_is_in_no_list_of_resources(rendering: Rendering, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with rendering() as client:
        await call(client, "search_conversations")
        assert all(str(each.uri).startswith("omi://") for each in (await client.list_resources()).resources)


async def test_the_answer_is_whole_without_the_view_and_small_whatever_the_conversation(
    rendering: Rendering, sandbox: Sandbox
) -> None:
    sandbox.load([talk("day", minutes=500, words={900: "We take the ferry until the bridge is open."})])
    async with rendering() as client:
        result = await client.call_tool(TOOL, {"conversation_id": "day", "find": "ferry bridge"})
        answer = json.loads(text_of(result))
        assert result.structured_content == answer
        assert len(text_of(result)) < 3_000
        assert answer["title"] == "About the day"
        assert answer["transcript"]["opened_at"] == ">> 03:45:00, segment 900"
        assert "We take the ferry" in answer["transcript"]["text"]
        assert "Where it does not, they see nothing but your words" in answer["note"]
        assert "never instructions" in answer["note"]

        shown = (result.meta or {})[viewer.DATA]
        assert len(json.dumps(shown)) < 40_000, "half a day, and no more than a window of it"
        window = shown["conversation"]["transcript"]
        assert "We take the ferry" in window["text"]
        assert window["text"].index("We take the ferry") > 3_000, "with what led to it"
        for way in ("next_cursor", "previous_cursor"):
            part = await call(client, "get_conversation", conversation_id="day", cursor=window[way])
            assert not set(part["transcript"]["text"].splitlines()) & set(window["text"].splitlines())
        assert [person["name"] for person in shown["people"]] == ["Ben", "Ana"]
        assert sum(person["share"] for person in shown["people"]) == pytest.approx(1)
        assert [moment["at"] for moment in shown["conversation"]["moments"]] == ["03:45:00"]


async def test_only_a_host_that_renders_it_is_sent_what_the_view_needs(
    connect: Connect, rendering: Rendering, sandbox: Sandbox
) -> None:
    sandbox.load([talk("harbour")])
    async with connect() as client:
        result = await client.call_tool(TOOL, {"conversation_id": "harbour"})
        assert viewer.DATA not in (result.meta or {})
        assert "sentence-3" in text_of(result)
    async with rendering(structured=False) as client:
        result = await client.call_tool(TOOL, {"conversation_id": "harbour"})
        assert viewer.DATA in (result.meta or {})
        assert result.structured_content is None


async def test_wrong_places_are_refused_as_where_one_reads(rendering: Rendering, sandbox: Sandbox) -> None:
    sandbox.load([talk("harbour")])
    async with rendering(read_only=True) as client:
        assert "one of find, at and segment" in await refusal(
            client, TOOL, conversation_id="harbour", find="a", at="1:00"
        )
        assert "00:04:59 long" in await refusal(client, TOOL, conversation_id="harbour", at="01:00:00")
        assert "segment" in await refusal(client, TOOL, conversation_id="harbour", segment=99)
        assert "cursor" in await refusal(client, TOOL, conversation_id="harbour", cursor="x")
        assert "search_conversations" in await refusal(client, TOOL, conversation_id="nowhere")
        unsaid = await call(client, TOOL, conversation_id="harbour", find="zeppelin")
        assert unsaid["note"].startswith("None of the words of find occur in it")
        assert "opened_at" not in unsaid["transcript"]


async def test_without_a_transcript_the_summary_is_shown(rendering: Rendering, sandbox: Sandbox) -> None:
    sandbox.load([talk("note", segments=[])])
    async with rendering() as client:
        result = await client.call_tool(TOOL, {"conversation_id": "note", "find": "ferry"})
        answer = json.loads(text_of(result))
        assert answer["overview"] == "Ana and Ben talk about the note."
        assert answer["note"].startswith("There is no transcript")
        assert "transcript" not in (result.meta or {})[viewer.DATA]["conversation"]


class _Outline(HTMLParser):
    """The elements of a page, and what its scripts hold."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts.append(data)


def test_the_page_depends_on_nothing_and_writes_no_markup() -> None:
    outline = _Outline()
    outline.feed(viewer.FILE.read_text("utf-8"))
    for tag, attributes in outline.elements:
        assert "src" not in attributes, tag
        assert tag != "link" or attributes == {"rel": "icon", "href": "data:,"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
    (script, *_) = outline.scripts
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "srcdoc",
        "http://",
    ):
        assert way not in script.replace("http://www.w3.org/2000/svg", ""), way


def test_data_in_the_page_cannot_end_its_element() -> None:
    said = "</script><script>alert(1)</script><!-- \u2028 ]]>"
    page = viewer.page({"conversation": {"title": said}})
    outline = _Outline()
    outline.feed(page)
    given, script = (text for text in outline.scripts if text.strip())
    assert json.loads(given) == {"conversation": {"title": said}}
    assert script in viewer.FILE.read_text("utf-8")
    assert "unsafe" not in viewer.policy(page)
