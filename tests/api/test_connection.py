"""Where the key may go, and that neither it nor what the upstream says comes out anywhere."""

import gzip
import logging
import random
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi_mcp.api.client import OmiClient
from omi_mcp.api.connection import checked_base_url
from omi_mcp.api.drafts import draft_text
from omi_mcp.api.errors import InvalidRequest, NotConfigured, OmiError, Unauthorized

KEY = "omi_dev_5ecre7"
MARK = "UPSTREAM-TEXT"


def make(base_url: str, key: str | None, clock: Any, transport: httpx.AsyncBaseTransport | None = None) -> OmiClient:
    return OmiClient(base_url, key, clock=clock, transport=transport, rng=random.Random(1))


@pytest.mark.parametrize(
    ("given_url", "normalised"),
    [
        ("https://api.omi.me", "https://api.omi.me"),
        (" HTTPS://API.Omi.me:443/ ", "https://api.omi.me"),
        ("https://self.test/omi//", "https://self.test/omi"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.8.9.1:1", "http://127.8.9.1:1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_a_safe_base_url_is_normalised(given_url: str, normalised: str) -> None:
    assert checked_base_url(given_url) == normalised


@pytest.mark.parametrize(
    "unsafe",
    [
        "",
        "api.omi.me",
        "https://",
        "http://api.omi.me",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://10.0.0.1",
        "http://[::2]",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://user:pa55@api.omi.me",
        "https://api.omi.me@evil.test",
        "https://api.omi.me/?x=1",
        "https://api.omi.me/#x",
        "https://api.omi.me:port",
        "https://a\nb",
    ],
)
def test_the_key_is_not_sent_where_it_could_be_read(unsafe: str, clock: Any) -> None:
    with pytest.raises(InvalidRequest, match="OMI_API_BASE_URL") as refused:
        make(unsafe, KEY, clock)
    assert "pa55" not in str(refused.value)


@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]{0,30}", fullmatch=True))
def test_any_base_url_is_normalised_once_or_refused(url: str) -> None:
    try:
        normalised = checked_base_url(url)
    except InvalidRequest:
        return
    assert checked_base_url(normalised) == normalised


@pytest.mark.anyio
@pytest.mark.parametrize("key", [None, "", "omi_dev_a\nX-Evil: 1", "omi dev", "omi_dev_\u00e9", "\ud800"])
async def test_without_a_usable_key_nothing_is_sent(key: str | None, clock: Any, upstream: Any) -> None:
    client = make("https://api.test", key, clock, upstream)
    calls = [client.folders(), client.delete("c1"), client.create_from_text(draft_text("Hi", now=clock.now()))]
    for call in calls:
        with pytest.raises(NotConfigured) as refused:
            await call
        assert key is None or not key or key not in str(refused.value)
    assert upstream.requests == []


@pytest.mark.anyio
async def test_the_key_goes_out_as_bearer_and_is_nowhere_else(
    client: OmiClient, upstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.answer(httpx.Response(200, json=[]))
    await client.folders()
    assert upstream.request.headers["authorization"] == f"Bearer {KEY}"
    assert upstream.request.headers["user-agent"].startswith("omi-conversations-mcp/")
    assert KEY not in str(upstream.request.url)
    shown = [repr(client), str(client), repr(vars(client))]
    for part in vars(client).values():
        shown += [repr(part), str(part), repr(vars(part))]
    assert KEY not in "".join(shown)
    assert KEY not in caplog.text


@pytest.mark.anyio
async def test_an_mcp_key_is_recognised_when_it_is_refused(clock: Any, upstream: Any) -> None:
    client = make("https://api.test", "omi_mcp_abc", clock, upstream)
    upstream.answer(httpx.Response(401))
    with pytest.raises(Unauthorized) as refused:
        await client.folders()
    assert refused.value.wrong_family
    await client.aclose()


@pytest.mark.anyio
async def test_a_redirect_is_not_followed(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(302, headers={"Location": "https://elsewhere.test/"}))
    with pytest.raises(OmiError, match="redirect"):
        await client.folders()
    assert len(upstream.requests) == 1


@pytest.mark.anyio
async def test_cookies_are_not_kept(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, headers=[(b"Set-Cookie", "a=é".encode())], json=[]))
    await client.folders()
    await client.folders()
    assert all("cookie" not in request.headers for request in upstream.requests)


@pytest.mark.anyio
async def test_gzip_is_understood(client: OmiClient, upstream: Any) -> None:
    upstream.answer(httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(b"[]")))
    assert await client.folders() == ()


@pytest.mark.anyio
async def test_a_closed_client_was_closed_once_and_may_be_closed_again(clock: Any, upstream: Any) -> None:
    closed = 0

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json=[])

        async def aclose(self) -> None:
            nonlocal closed
            closed += 1

    client = make("https://api.test", KEY, clock, Transport())
    await client.aclose()
    assert closed == 0
    await client.folders()
    await client.aclose()
    await client.aclose()
    assert closed == 1


@pytest.mark.anyio
async def test_a_proxy_setting_that_cannot_be_used_is_explained(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://user:pa55@proxy.test")
    client = make("https://api.test", KEY, clock)
    with pytest.raises(InvalidRequest, match="HTTPS_PROXY") as refused:
        await client.folders()
    assert "pa55" not in str(refused.value)


def every_word_of(error: BaseException | None) -> str:
    """The whole chain, as a log would show it, and the attributes."""
    if error is None:
        return ""
    own = "".join(traceback.format_exception(type(error), error, None)) + repr(error) + repr(vars(error))
    return own + every_word_of(error.__cause__) + every_word_of(error.__context__)


_bodies = (
    st.binary(max_size=60).map(lambda noise: MARK.encode() + noise)
    | st.just(b"")
    | st.sampled_from([b"[]", b"{}", b"null", b'[{"id": 1}]', b"[" * 5000])
    | st.sampled_from(["detail", "id", "success"]).map(lambda name: f'{{"{name}": "{MARK}"}}'.encode())
)
_headers = st.dictionaries(
    st.sampled_from(["content-type", "content-encoding", "location", "retry-after", "set-cookie", "x-ratelimit-limit"]),
    st.sampled_from(["", "gzip", "br", "text/html; charset=utf-99", "http://[", "//x:y", "\x00", f"1{MARK}", "5", "é"]),
)
_failures = st.sampled_from(
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.DecodingError,
        httpx.TooManyRedirects,
        OSError,
        TimeoutError,
    ]
)
_answers = st.one_of(
    st.builds(
        lambda status, headers, body: (
            lambda: httpx.Response(
                status, headers=[(name, value.encode()) for name, value in headers.items()], stream=Chunks(body)
            )
        ),
        st.integers(200, 599) | st.sampled_from([100, 101, 999]),
        _headers,
        _bodies,
    ),
    _failures.map(lambda failure: lambda: failure(f"{MARK} {KEY}")),
)


class Chunks(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> Any:
        for index in range(0, len(self.body), 7):
            yield self.body[index : index + 7]


class Still:
    """A clock that stands still and does not wait."""

    def now(self) -> datetime:
        return datetime(2025, 1, 1, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


@given(
    _answers,
    st.sampled_from(["list", "get", "folders", "text", "update", "delete", "scopes"]),
)
def test_whatever_comes_back_only_omi_errors_come_out_and_they_repeat_nothing(answer: Any, verb: str) -> None:
    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            come: httpx.Response | Exception = answer()
            if isinstance(come, Exception):
                raise come
            return come

    async def call() -> Any:
        clock = Still()
        client = make("https://api.test", KEY, clock, Transport())
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "list": lambda: client.list_conversations(),
            "get": lambda: client.get_conversation("c1"),
            "folders": lambda: client.folders(),
            "text": lambda: client.create_from_text(draft_text("Hi", now=clock.now())),
            "update": lambda: client.update("c1", title="t"),
            "delete": lambda: client.delete("c1"),
            "scopes": lambda: client.scopes(),
        }
        try:
            return await calls[verb]()
        finally:
            await client.aclose()

    try:
        anyio.run(call)
    except OmiError as error:
        words = every_word_of(error)
        assert MARK not in words
        assert KEY not in words
