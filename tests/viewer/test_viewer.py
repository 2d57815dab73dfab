"""The viewer in a real browser, in two hosts: what a reader sees and does, and what nobody can do to them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import Show
from viewer_kit import Host, npm

from omi_mcp.sandbox import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

PHONE = {"width": 360, "height": 740, "touch": True}
LONG = 2_000
"""Turns of a day's recording, 21.6 seconds each: 12 hours."""


def talk(name: str, lines: list[tuple[str, str]], each: float = 20.0, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "started_at": datetime(2026, 3, 6, 8, 30, tzinfo=UTC).isoformat(),
        "title": "The ferry and the bridge",
        "overview": "Ana and Ben talk about the ferry.",
        "segments": [
            {"speaker": who, "text": text, "start": index * each, "end": index * each + each - 1}
            for index, (who, text) in enumerate(lines)
        ],
    } | fields


LINES = [
    ("Ana", "Good morning, shall we begin?"),
    ("Ben", "Yes. The ferry is far too expensive."),
    ("Ana", "It is the only way across."),
    ("Cleo", "Until the bridge is open again, in the café they say June."),
    ("Ben", "All right: we take the ferry, but only until then."),
    ("Ana", "Then it is decided."),
] + [(("Ana", "Ben", "Cleo")[index % 3], f"And point number-{index} of the list is done, too.") for index in range(60)]


def day(turns: int = LONG) -> dict[str, Any]:
    words = (
        "we went through the list of the winter season once more, point by point, without deciding anything new. " * 3
    )
    said = {0: "The lighthouse stands.", 1_000: "Halfway, the Lighthouse again.", turns - 1: "So ends the lighthouse."}
    lines = [(("Ana", "Ben")[index % 2], said.get(index, f"At turn-{index} {words}")) for index in range(turns)]
    return talk("day", lines, each=21.6, title="A whole day")


@pytest.mark.parametrize("bridge", [False, True], ids=["our host", "the official bridge"])
async def test_it_opens_at_the_passage_that_was_asked_for(show: Show, sandbox: Sandbox, bridge: bool) -> None:
    if bridge:
        npm("@modelcontextprotocol/ext-apps")
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry", Host(bridge=bridge, context={"theme": "light"}), find="decided to take the ferry") as view:
        assert await view.text("h1") == "The ferry and the bridge"
        assert await view.text("#facts") == "Friday, 6 March 2026 at 09:30 · 22 min"
        assert "we take the ferry, but only until then." in await view.text(".turn.asked")
        assert any("we take the ferry" in words for words in await view.in_sight())
        assert await view.text(".turn.asked mark >> nth=0") == "take"
        people = [" ".join(text.split()) for text in await view.by("#people li").all_inner_texts()]
        assert [name.split()[0] for name in people] == ["Ben", "Ana", "Cleo"]
        assert sum(int(name.split()[-1].rstrip("%")) for name in people) in range(99, 102)
        await view.page.wait_for_function("sizes.length > 0")
        assert (await view.page.evaluate("sizes.at(-1)"))["height"] == await view.frame.evaluate("innerHeight")
        if bridge:
            assert await view.page.evaluate("failures") == []
            assert await view.page.evaluate("bridge.teardownResource({})") == {}
        else:
            assert await view.page.evaluate("ask('ping')") == {}
            assert (await view.page.evaluate("ask('tools/list')"))["code"] == -32601
            first = await view.page.evaluate(
                "messages.filter(message => message.method).map(message => message.method)"
            )
            assert first[:3] == [
                "ui/notifications/sandbox-proxy-ready",
                "ui/initialize",
                "ui/notifications/initialized",
            ]


@pytest.mark.parametrize("bridge", [False, True], ids=["our host", "the official bridge"])
async def test_a_whole_day_loads_as_one_scrolls(show: Show, sandbox: Sandbox, bridge: bool) -> None:
    if bridge:
        npm("@modelcontextprotocol/ext-apps")
    sandbox.load([day()])
    async with show("day", Host(bridge=bridge), segment=1_000) as view:
        assert "Halfway" in await view.text(".turn.asked")
        assert await view.by(".turn").count() < 150
        for side, key in (("before", "0"), ("after", "spoken.scrollHeight")):
            count = await view.by(".turn").count()
            await view.frame.evaluate(f"spoken.scrollTop = {key}")
            await view.until(f"document.querySelectorAll('.turn').length > {count}")
            assert await view.by(f"#{side}").count() == 1
        assert {call["name"] for call in view.calls} == {"get_conversation"}
        stamps = await view.by(".turn time").all_inner_texts()
        assert stamps == sorted(stamps)
        assert len(set(stamps)) == len(stamps), "no turn twice"

        await view.by("#time").fill("11:59:50")
        await view.by("#time").press("Enter")
        await view.until("document.querySelector('.asked .words').textContent.includes('lighthouse')")
        assert await view.by("#after").is_hidden()
        assert "So ends the lighthouse." in await view.in_sight()
        assert int(await view.by("#scrub").input_value()) > 11 * 3600


async def test_what_comes_before_does_not_move_what_is_read(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([day()])
    async with show("day", at="06:00:00") as view:
        await view.frame.evaluate("spoken.scrollTop = 300")
        seen = (await view.in_sight())[:3]
        count = await view.by(".turn").count()
        await view.until(f"document.querySelectorAll('.turn').length > {count}")
        assert (await view.in_sight())[:3] == seen


async def test_a_search_reaches_what_is_not_loaded_yet(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([day()])
    async with show("day", segment=500) as view:
        await view.by("#query").fill("LIGHTHOUSE")
        await view.until("count.textContent.endsWith('of 3')", timeout=30_000)
        assert await view.by(".turn").count() == LONG
        assert await view.by("#ticks i").count() == 3
        seen = []
        for _ in range(3):
            await view.by("#on").click()
            seen.append((await view.text("#count"), await view.text("mark.now >> xpath=../..")))
        assert sorted(seen)[0][0] == "1 of 3"
        assert "stands" in sorted(seen)[0][1]
        assert "So ends" in sorted(seen)[2][1]


async def test_where_a_host_lets_nothing_be_called_the_first_window_is_there_and_says_so(
    show: Show, sandbox: Sandbox
) -> None:
    sandbox.load([day()])
    async with show("day", Host(tools=False), segment=1_000) as view:
        assert "Halfway" in await view.text(".turn.asked")
        assert "cannot be loaded in this host" in await view.text("#before")
        assert "cannot be loaded in this host" in await view.text("#after")
        await view.frame.evaluate("spoken.scrollTop = 0")
        await view.by("#time").fill("1:00")
        await view.by("#go").click()
        assert "Ask for it in the chat" in await view.text("#note")
        await view.by("#query").fill("lighthouse")
        await view.until("count.textContent === '1 of 1 in this part'")
        assert view.calls == []


@pytest.mark.parametrize("form", ["content", "structuredContent"])
@pytest.mark.parametrize("tools", [True, False])
async def test_a_host_that_passes_less_on_shows_the_passage_all_the_same(
    show: Show, sandbox: Sandbox, form: str, tools: bool
) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry", Host(forms=(form,), tools=tools), find="only until then") as view:
        assert await view.text("h1") == "The ferry and the bridge"
        assert "we take the ferry, but only until then." in await view.text(".turn.asked")
        assert await view.by("#people li").count() == 3
        assert bool(view.calls) == tools


async def test_a_host_that_passes_nothing_on_but_the_question(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry", Host(forms=()), at="00:01:20") as view:
        assert await view.text("h1") == "The ferry and the bridge"
        assert any("we take the ferry" in words for words in await view.in_sight())


async def test_search_marks_steps_and_lets_go(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry") as view:
        assert await view.by("#about").is_visible()
        await view.by("#query").fill("ferry")
        await view.until("count.textContent === '1 of 2'")
        assert await view.by("mark").all_inner_texts() == ["ferry", "ferry"]
        await view.by("#query").press("Enter")
        assert await view.text("#count") == "2 of 2"
        await view.by("#query").press("Enter")
        assert await view.text("#count") == "1 of 2"
        await view.by("#query").press("Shift+Enter")
        assert await view.text("#count") == "2 of 2"
        await view.by("#query").fill("CAFE")
        await view.until("count.textContent === '1 of 1'")
        assert await view.by("mark").all_inner_texts() == ["café"]
        await view.by("#query").fill("zeppelin")
        await view.until("count.textContent === 'Not said'")
        await view.by("#query").fill("bridge nowhere")
        await view.until("count.textContent === '1 of 1'")
        await view.by("#query").press("Escape")
        assert await view.by("mark").count() == 0
        assert await view.text("#count") == ""
        assert "".join(await view.by(".words").all_inner_texts()).startswith(
            "Good morning, shall we begin?Yes. The ferry"
        )


async def test_the_moments_of_find_are_stepped_through(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([day()])
    async with show("day", find="lighthouse") as view:
        seen = set()
        for _ in range(3):
            now = await view.text(".asked time")
            await view.by("#on").click()
            await view.until(
                f"document.querySelector('.asked time')?.textContent < '{now}' || "
                f"document.querySelector('.asked time')?.textContent > '{now}'"
            )
            assert (await view.text("#count")).endswith(" of 3")
            seen.add(await view.text(".asked"))
        assert len(seen) == 3
        assert all("ighthouse" in words for words in seen)


QUOTE = """\
> Ben: All right: we take the ferry, but only until then.

— \u201cThe ferry and the bridge\u201d, Friday, 6 March 2026 at 09:30, at 00:01:20"""


async def test_a_passage_is_copied_as_a_quote(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry", segment=4) as view:
        await view.by(".asked").hover()
        await view.by(".asked .copy").click()
        await view.until("document.querySelector('.asked .copy').textContent === 'Copied'")
        await view.frame.evaluate(
            """() => { const words = document.querySelectorAll('.words');
            getSelection().setBaseAndExtent(words[3].firstChild, 20, words[4].firstChild, 9); }"""
        )
        await view.by("#quote").click()
        await view.until("said.textContent === 'Copied as a quote.'")
        await view.page.context.grant_permissions(["clipboard-read"])
        await view.page.bring_to_front()
        await view.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<textarea id=pasted></textarea>')")
        await view.page.locator("#pasted").focus()
        await view.page.keyboard.press("Control+V")
        copied = await view.page.locator("#pasted").input_value()
        assert copied.startswith("> Cleo: open again, in the café they say June.\n>\n> Ben: All right\n\n")
        assert copied.endswith("at 00:01:00")


async def test_where_copying_is_forbidden_the_quote_can_be_taken_by_hand(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry", segment=4) as view:
        await view.frame.evaluate("document.execCommand = () => false, 0")
        await view.frame.evaluate("navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden')), 0")
        await view.by(".asked").focus()
        await view.page.keyboard.press("c")
        await view.by("#copied").wait_for()
        assert await view.by("#copied").input_value() == QUOTE
        assert await view.frame.evaluate("getSelection().toString() || document.activeElement.id") in (QUOTE, "copied")


async def test_it_looks_as_the_host_does(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    variables = {
        "--color-background-primary": "light-dark(rgb(250, 240, 230), rgb(10, 20, 30))",
        "--font-sans": "serif",
    }
    styles = {"variables": variables, "css": {"fonts": "@import url('https://fonts.example.com/a.css');"}}
    paint = "getComputedStyle(document.body).backgroundColor"
    async with show("ferry", Host(context={"theme": "light", "styles": styles})) as view:
        assert await view.frame.evaluate(paint) == "rgb(250, 240, 230)"
        assert "serif" in await view.frame.evaluate("getComputedStyle(document.body).fontFamily")
        await view.page.evaluate("post({ method: 'ui/notifications/host-context-changed', params: { theme: 'dark' } })")
        await view.until(f"{paint} === 'rgb(10, 20, 30)'")


async def test_it_fills_a_container_of_fixed_height_and_grows_on_request(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([day(300)])
    async with show("day", Host(context={"containerDimensions": {"height": 500, "width": 700}})) as view:
        assert await view.frame.evaluate("document.querySelector('main').offsetHeight") == 500
    room = {"containerDimensions": {"maxHeight": 480}, "availableDisplayModes": ["inline", "fullscreen"]}
    async with show("day", Host(context=room)) as view:
        await view.page.wait_for_function("sizes.length > 0 && sizes.at(-1).height === 480")
        await view.by("#wide").click()
        asked = await view.page.evaluate("messages.filter(each => each.method === 'ui/request-display-mode')")
        assert [each["params"] for each in asked] == [{"mode": "fullscreen"}]
        await view.by("#wide").wait_for(state="hidden")  # this host knows no such request


async def test_a_phone_has_room_for_it(show: Show, sandbox: Sandbox) -> None:
    long = "Donaudampfschifffahrtsgesellschaftskapitaen" * 4
    crowd = [(f"Person Number {index} von und zu Langenfeld", f"{long} and more.") for index in range(12)]
    sandbox.load([talk("crowd", crowd, title=f"About {long}")])
    async with show("crowd", Host(**PHONE), segment=5) as view:
        assert await view.frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await view.frame.evaluate("spoken.scrollWidth <= spoken.clientWidth")
        assert await view.by("#people li").count() == 7
        assert "6 others" in await view.text("#people")
        await view.by("#all summary").click()
        assert await view.by("#everyone li").count() == 12
        assert await view.frame.evaluate("spoken.clientHeight") > 150


async def test_the_keyboard_is_enough(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry", segment=4) as view:
        focused = "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
        press = view.page.keyboard.press
        await view.by("#about summary").focus()
        reached = []
        for _ in range(9):
            await press("Tab")
            reached.append(await view.frame.evaluate(focused))
        assert reached[:1] == ["scrub"]
        assert {"query", "time", "go", "copy"} <= set(reached)
        assert any(name.startswith("turn") for name in reached)
        await press("/")
        assert await view.frame.evaluate(focused) == "query"
        await view.page.keyboard.type("decided")
        await view.until("count.textContent === '1 of 1'")
        await view.by(".turn[tabindex='0']").focus()
        assert "Then it is decided." in await view.frame.evaluate("document.activeElement.textContent")
        await press("ArrowUp")
        assert "we take the ferry" in await view.frame.evaluate("document.activeElement.textContent")
        await press("End")
        assert "number-59" in await view.frame.evaluate("document.activeElement.textContent")
        await press("Home")
        assert "Good morning" in await view.frame.evaluate("document.activeElement.textContent")
        await view.by("#scrub").focus()
        await press("End")
        await view.until("spoken.scrollTop > 500")
        assert "00:21:" in await view.by("#scrub").get_attribute("aria-valuetext")


@pytest.mark.parametrize(
    "host",
    [Host(context={"theme": "light"}), Host(context={"theme": "dark"}), Host(**PHONE)],
    ids=["light", "dark", "phone"],
)
async def test_axe_finds_nothing(show: Show, sandbox: Sandbox, host: Host) -> None:
    script = (npm("axe-core") / "axe.min.js").read_text("utf-8")
    items = [{"description": "Book the ferry.", "completed": True}, {"description": "Ask about June."}]
    sandbox.load([talk("ferry", LINES, action_items=items)])
    async with show("ferry", host, find="ferry") as view:
        await view.frame.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        await view.frame.evaluate(script)
        found = await view.frame.evaluate(
            "axe.run().then(({violations, incomplete}) => ({violations, incomplete, colors: incomplete.length}))"
        )
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []


async def test_reduced_motion_is_no_motion(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    moving = "getComputedStyle(document.querySelector('#go')).transitionDuration"
    async with show("ferry") as view:
        assert await view.frame.evaluate(moving) != "0s"
        await view.page.emulate_media(reduced_motion="reduce")
        assert await view.frame.evaluate(moving) == "0s"


HOSTILE = [
    ("<img src=x onerror=parent.postMessage('owned','*')>", "<script>window.owned = 1</script><b>bold</b>"),
    ("Ben\u202e nhoj", "</script><script>window.owned = 2</script> \u202e\u2066abc\u2069"),
    ("Ana", "[00:00:01] Ben: I never said this.\n[00:00:02] Ben: Nor this."),
    ("Cleo", "javascript:alert(1) <a href='https://evil.example.com'>here</a> &lt;b&gt; ${1+1} {{7*7}}"),
    ("__proto__", "constructor"),
]


async def test_a_hostile_transcript_shows_as_what_it_is(show: Show, sandbox: Sandbox) -> None:
    fields: dict[str, Any] = {
        "title": "</h1><script>window.owned = 3</script>",
        "overview": "<img src='https://evil.example.com/x.png'> [x](javascript:1)",
        "action_items": [{"description": "<svg onload=alert(1)>"}],
    }
    sandbox.load([talk("bad", HOSTILE, **fields)])
    async with show("bad", find="said this never") as view:
        assert await view.frame.evaluate("window.owned") is None
        assert await view.frame.evaluate("document.querySelectorAll('script').length") == 1
        assert (
            await view.frame.evaluate("document.querySelectorAll('main img, main a, main b, main [onerror]').length")
            == 0
        )
        assert await view.text("h1") == fields["title"]
        assert [" ".join((await each.inner_text()).split()) for each in await view.by(".who").all()][1] == "Ben nhoj"
        said = await view.by(".words").all_inner_texts()
        assert said[0] == "<script>window.owned = 1</script><b>bold</b>"
        assert said[1] == "</script><script>window.owned = 2</script> abc"
        assert said[2] == "(00:00:01) Ben: I never said this. (00:00:02) Ben: Nor this."
        assert await view.by(".turn").count() == len(HOSTILE)
        await view.by("#query").fill("<b>bold")
        await view.until("[...document.querySelectorAll('mark')].map(each => each.textContent).join() === '<b>bold'")
        assert await view.page.evaluate("messages.some(message => message === 'owned')") is False


async def test_only_the_host_is_listened_to(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("ferry", LINES)])
    async with show("ferry") as view:
        forged = {"jsonrpc": "2.0", "method": "ui/notifications/tool-result"}
        forged["params"] = {"content": [{"type": "text", "text": json.dumps({"id": "x", "title": "Forged"})}]}
        await view.frame.evaluate("message => window.postMessage(message, '*')", forged)
        await view.frame.evaluate("new Promise(resolve => setTimeout(resolve))")
        assert await view.text("h1") == "The ferry and the bridge"


async def test_without_a_transcript_it_says_why(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([talk("note", [], overview="Only a note.")])
    async with show("note") as view:
        assert "There is no transcript" in await view.text("#note")
        assert await view.text("#overview") == "Only a note."
        assert await view.by("#spoken").is_hidden()


async def test_an_error_is_told_in_words(show: Show, sandbox: Sandbox) -> None:
    async with show("nowhere") as view:
        assert await view.text("h1") == "This conversation cannot be shown"
        assert "nowhere" not in await view.text("#note")
        assert await view.text("#note") != ""


async def test_what_could_not_be_loaded_is_tried_again(show: Show, sandbox: Sandbox) -> None:
    sandbox.load([day(400)])
    refusals = []

    async def answer(params: dict[str, Any]) -> dict[str, Any]:
        refusals.append(params)
        return {"refused": "Not now."}

    async with show("day", Host(answer=answer)) as view:
        await view.frame.evaluate("spoken.scrollTop = spoken.scrollHeight")
        await view.until("after.textContent.includes('Not now.')")
        await view.by("#after button").click()
        await view.until("after.textContent.includes('Not now.')")
        assert len(refusals) >= 1
