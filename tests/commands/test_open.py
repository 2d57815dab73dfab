"""`omi-mcp show --open`: who gets the page, and when it ends. What it looks like: tests/viewer."""

import json
import re
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from command_kit import Account, live, talk

from omi_mcp.terminal import browser

POLICY = "default-src 'none'"


LONG = 3_600.0

Story = Callable[[str], Awaitable[None]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was started with."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


async def visited(story: Story, *, absence: float) -> None:
    """A page, and what happens to it at its address; with a short `absence` it has to end by itself."""
    visit = browser.Visit("<p>Ana: Good morning.", POLICY, absence=absence)
    come, coming = anyio.create_memory_object_stream[str](1)
    with anyio.fail_after(60), come, coming:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(visit.last, come.send_nowait)
            await story(await coming.receive())
            if absence == LONG:
                tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_whoever_asks_first_has_the_page_and_no_one_else(started: list[str]) -> None:
    async def story(address: str) -> None:
        root = httpx.URL(address).join("/")
        async with httpx.AsyncClient() as thief, httpx.AsyncClient() as person:
            for path in ("", "favicon.ico", address.rsplit("/", 2)[1], "..%2f"):
                assert (await thief.get(root.join(path))).status_code == 403
            assert (await thief.get(address, headers={"Host": "evil.example.com"})).status_code == 403
            assert (await thief.get(f"{address}open")).status_code == 403
            with pytest.raises(httpx.RemoteProtocolError):
                await thief.post(address)

            page = await person.get(address)
            assert page.text == "<p>Ana: Good morning."
            assert page.headers["content-security-policy"] == POLICY
            assert page.headers["cache-control"] == "no-store"
            assert (await thief.get(address)).status_code == 403
            async with person.stream("GET", f"{address}open"):
                assert (await person.get(address)).text == page.text, "it can be loaded again"

    await visited(story, absence=LONG)


@pytest.mark.exhaustive
@pytest.mark.anyio
async def test_it_stays_while_it_is_open_also_over_a_reload(started: list[str]) -> None:
    async def story(address: str) -> None:
        assert started == [address]
        async with httpx.AsyncClient() as person:
            await person.get(address)
            for _ in range(2):
                async with person.stream("GET", f"{address}open"):
                    assert (await person.get(address)).status_code == 200

    await visited(story, absence=3.0)


def test_where_there_is_no_browser_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)

    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour")])
        ended = await account.run("show", "harbour", "--open")
        assert (ended.code, ended.out) == (1, "")
        assert "no browser could be started" in ended.err

    live(story, tmp_path)


def test_the_page_has_the_whole_transcript_or_one_persons_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come(address: str) -> bool:
        page = httpx.get(address).text
        given = re.search(r'<script type="application/json" id="given">(.*?)</script>', page)
        assert given is not None
        pages.append(json.loads(given[1]))
        return True

    pages: list[dict[str, Any]] = []
    monkeypatch.setattr(webbrowser, "open", come)

    async def story(account: Account) -> None:
        account.sandbox.load([talk("harbour", lines=1_500)])
        ended = await account.run("show", "harbour", "--open", "--find", "sentence-700")
        assert (ended.code, ended.out) == (0, "")
        assert "http://127.0.0.1:" in ended.err
        await account.run("show", "harbour", "--open", "--speaker", "Ben")
        await account.run("show", "harbour", "--open", "--no-transcript")

    live(story, tmp_path)
    whole, ben, without = (page["conversation"] for page in pages)
    assert len(whole["transcript"]["text"].splitlines()) == 1_500
    assert "next_cursor" not in whole["transcript"]
    assert whole["transcript"]["opened_at"] == ">> 02:57:55, segment 700"
    assert len(ben["transcript"]["text"].splitlines()) == 750
    assert "transcript" not in without
