"""The HTTP transport under attack: what is refused, with which status, and what is never given away."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import httpx2
import pytest
from hosting import call, talk
from http_kit import ACCEPT, INITIALIZE, PORT, TOKEN, Held, bearer, initialize, listening, reached, running, tool_call
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

from omi_mcp.sandbox import Sandbox
from omi_mcp.sandbox.serve import serving
from omi_mcp.settings import HttpAccess, SettingsError
from omi_mcp.tools.calls import ANSWER_SECONDS
from omi_mcp.transports import http

pytestmark = pytest.mark.anyio

STATIC = HttpAccess(token=TOKEN)
RIGHT = bearer(TOKEN)


def test_a_short_answer_waits_for_no_acknowledgement() -> None:
    with http.listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_right_token_gets_in(sandbox: Sandbox, tmp_path: Path) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await initialize(client, **RIGHT)
        assert answer.status_code == 200
        assert '"omi"' in answer.text


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xfcber",
    ],
)
async def test_a_missing_or_wrong_token_is_refused(sandbox: Sandbox, tmp_path: Path, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    async with reached(sandbox, tmp_path, STATIC) as client:
        for method in ("POST", "GET", "DELETE"):
            answer = await client.request(method, "/mcp", json=INITIALIZE, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert "resource_metadata" not in answer.headers["www-authenticate"]
            assert TOKEN not in answer.text


async def test_a_token_in_the_address_does_not_count(sandbox: Sandbox, tmp_path: Path) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await client.post("/mcp", params={"access_token": TOKEN, "token": TOKEN}, json=INITIALIZE)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:80",
        f"127.0.0.1.evil.example:{PORT}",
        f"localhost:{PORT}0",
        f"someone@127.0.0.1:{PORT}",
        f"127.0.0.1:{PORT}, evil.example",
        f"127.0.0.1:{PORT}/",
        f"localhost..:{PORT}",
        f"[::1:{PORT}",
        f"[::ffff:127.0.0.1%lo]:{PORT}",
        f"127.1:{PORT}",
        "*",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/health"])
async def test_a_foreign_host_name_is_refused_even_with_the_token(
    sandbox: Sandbox, tmp_path: Path, host: str, path: str
) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await client.request(
            "POST" if path == "/mcp" else "GET", path, json=INITIALIZE, headers={**RIGHT, "Host": host}
        )
        assert answer.status_code == 421


@pytest.mark.parametrize(
    "host",
    [
        f"127.0.0.1:{PORT}",
        f"localhost:{PORT}",
        f"LocalHost.:{PORT}",
        f"[::1]:{PORT}",
        f"[0:0:0:0::1]:{PORT}",
        "nas.example",
        "NAS.Example",
        "nas.example.",
        "nas.example:443",
        "other.example:8443",
    ],
)
async def test_this_computers_names_and_those_set_are_accepted(sandbox: Sandbox, tmp_path: Path, host: str) -> None:
    access = HttpAccess(token=TOKEN, hosts=("Nas.Example", "other.example:8443"))
    async with reached(sandbox, tmp_path, access) as client:
        assert (await initialize(client, Host=host, **RIGHT)).status_code == 200
        assert (await initialize(client, Host=host, Origin=f"http://{host}", **RIGHT)).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://localhost:5173", "file://"]
)
async def test_no_web_page_of_another_origin_gets_in(sandbox: Sandbox, tmp_path: Path, origin: str) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await initialize(client, Origin=origin, **RIGHT)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        preflight = await client.options("/mcp", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert preflight.status_code == 403


@pytest.mark.parametrize("origin", ["https://nas.example", "https://NAS.example:443", "http://nas.example"])
async def test_the_servers_own_origin_gets_in_behind_tls(sandbox: Sandbox, tmp_path: Path, origin: str) -> None:
    async with reached(sandbox, tmp_path, HttpAccess(token=TOKEN, hosts=("nas.example",))) as client:
        assert (await initialize(client, Host="nas.example", Origin=origin, **RIGHT)).status_code == 200
        for foreign in (f"{origin}.evil.example", f"{origin}:8443x", origin.replace("http", "ftp"), origin[7:], ""):
            assert (await initialize(client, Host="nas.example", Origin=foreign, **RIGHT)).status_code == 403


async def test_at_the_port_of_its_scheme_no_port_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    async with reached(sandbox, tmp_path, STATIC, port=80, base_url="http://localhost") as client:
        assert (await initialize(client, **RIGHT)).status_code == 200


@pytest.mark.parametrize("host", ["https://nas.example", "nas.example/mcp", "*", "nas.example:*", "a b", "nas:port"])
def test_what_is_no_name_of_a_host_is_refused_at_start(tmp_path: Path, host: str) -> None:
    access = HttpAccess.from_env({"OMI_MCP_HTTP_TOKEN": TOKEN, "OMI_MCP_HTTP_HOSTS": f"fine.example, {host}"})
    with pytest.raises(SettingsError, match="OMI_MCP_HTTP_HOSTS"):
        http.access_policy(access, "127.0.0.1", PORT, tmp_path)


@pytest.mark.parametrize(("path", "method"), [("/mcp/", "POST"), ("/health/", "GET")])
async def test_a_slash_at_the_end_leads_nowhere_else(sandbox: Sandbox, tmp_path: Path, path: str, method: str) -> None:
    async with reached(sandbox, tmp_path, HttpAccess(token=TOKEN, hosts=("nas.example",))) as client:
        answer = await client.request(method, path, json=INITIALIZE, headers={**RIGHT, "Host": "nas.example"})
        assert answer.status_code == 200
        assert (await client.post("/mcp//", json=INITIALIZE, headers=RIGHT)).status_code == 404


@pytest.mark.parametrize("header", ["Host", "Origin", "Mcp-Session-Id", "X-Any"])
@pytest.mark.parametrize("value", ["evil\x1b]0;owned\x07", "e\x9bvil" + "x" * 10_000])
async def test_nothing_a_stranger_sends_reaches_the_log_raw(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, header: str, value: str
) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await client.post(
            "/mcp",
            json=INITIALIZE,
            headers=[("Host", f"127.0.0.1:{PORT}")] * (header != "Host")
            + [(b"Authorization", RIGHT["Authorization"].encode()), (header.encode(), value.encode("latin-1"))],
        )
        refused = "\x1b" in value or header in ("Host", "Origin")
        assert answer.status_code in ((400, 403, 421) if refused else (200, 404))
    logged = [record.getMessage() for record in caplog.records]
    assert all(line.isprintable() and line.isascii() and len(line) < 300 for line in logged)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_host_that_hangs_up_in_mid_body_is_no_error(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    async with running(sandbox, tmp_path, STATIC) as app, listening(app, http.Connection) as port:
        stream = await anyio.connect_tcp("127.0.0.1", port)
        await stream.send(head("POST", f"MCP-Protocol-Version: {version}", "Content-Length: 500") + b'{"jsonrpc":')
        await stream.aclose()
        assert await answered(port) == 200
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


class Impatient(http.Connection):
    request_seconds = 0.5


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /mcp HTTP/1.1\r\nHost: x",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nContent-Length: 50\r\n\r\n{",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n\r\n|GET /health HTTP/1.1\r\nHo",
    ],
    ids=["nothing", "half a head", "half a body", "half a second request"],
)
async def test_a_request_that_does_not_arrive_is_not_waited_for(sandbox: Sandbox, tmp_path: Path, sent: bytes) -> None:
    """And an answer that takes long, whose request did arrive, is waited for."""
    omi = Held(sandbox)
    async with running(sandbox, tmp_path, STATIC, omi=omi) as app, listening(app, Impatient) as port:
        with anyio.fail_after(20):
            session = await opened(port)
            async with await anyio.connect_tcp("127.0.0.1", port) as held:
                read = json.dumps(tool_call("get_conversation", conversation_id="harbour")).encode()
                await held.send(head("POST", f"Mcp-Session-Id: {session}", f"Content-Length: {len(read)}") + read)
                assert b" 200 " in await held.receive()
                async with await anyio.connect_tcp("127.0.0.1", port) as half:
                    first, *second = sent.split(b"|")
                    await half.send(first)
                    for more in second:
                        assert b" 200 " in await half.receive()
                        await half.send(more)
                    await everything(half)
                omi.released.set()
                assert b"no conversation with this id" in await received(held, b"0\r\n\r\n")


async def test_a_host_of_the_older_era_is_asked_in_the_middle_of_a_call_and_of_several_at_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    rooms = ["harbour", "kitchen", "attic", "garden"]
    sandbox.load([talk(room) for room in rooms])
    questions: list[str] = []
    all_asked = anyio.Event()

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        questions.append(params.message.split('"')[1])
        if len(questions) == len(rooms):
            all_asked.set()
        await all_asked.wait()
        return ElicitResult(action="accept", content={"delete": "kitchen" not in params.message})

    async with (
        running(sandbox, tmp_path, STATIC, allow_delete=True) as app,
        listening(app, http.Connection) as port,
        httpx2.AsyncClient(headers={**RIGHT, "Host": f"127.0.0.1:{PORT}"}) as wire,
        Client(
            streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=wire),
            mode="legacy",
            elicitation_callback=agree,
        ) as client,
    ):
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for room in rooms:
                    tasks.start_soon(client.call_tool, "delete_conversation", {"conversation_id": room})
    assert sorted(questions) == sorted(f"About the {room}" for room in rooms)
    assert sandbox.ids() == ["kitchen"]


async def test_what_is_not_wanted_any_more_ends_and_what_nobody_waits_for_goes_on(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    omi = Held(sandbox)
    note = "Ana writes down that the boat is sold to the doctor, and that the keeper teaches her to sail in May."
    async with running(sandbox, tmp_path, STATIC, omi=omi) as app, listening(app, http.Connection) as port:
        session = f"Mcp-Session-Id: {await opened(port)}"
        with anyio.fail_after(20):
            async with await anyio.connect_tcp("127.0.0.1", port) as gone:
                create = json.dumps(tool_call("create_from_text", text=note)).encode()
                await gone.send(head("POST", session, f"Content-Length: {len(create)}") + create)
                await omi.asked.wait()
            async with await anyio.connect_tcp("127.0.0.1", port) as waiting:
                read = json.dumps(tool_call("get_conversation", 7, conversation_id="harbour")).encode()
                await waiting.send(head("POST", session, f"Content-Length: {len(read)}") + read)
                assert b" 200 " in await waiting.receive()
                async with await anyio.connect_tcp("127.0.0.1", port) as other:
                    unwanted = json.dumps(
                        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
                    ).encode()
                    await other.send(head("POST", session, f"Content-Length: {len(unwanted)}") + unwanted)
                    assert b" 202 " in await other.receive()
                assert b"cancelled" in await received(waiting, b"0\r\n\r\n")
            omi.released.set()
            await omi.created.wait()
            assert len(sandbox.ids()) == 1


async def test_connections_have_a_bound_and_those_that_are_open_stay(sandbox: Sandbox, tmp_path: Path) -> None:
    class Few(http.Connection):
        most = 3

    async with running(sandbox, tmp_path, STATIC) as app, listening(app, Few) as port, AsyncExitStack() as open_ones:
        with anyio.fail_after(20):
            held = [await open_ones.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(3)]
            one_more = await open_ones.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
            assert await everything(one_more) == b""
            await held[0].send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:8765\r\n\r\n")
            assert b" 200 " in await held[0].receive()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_could_send_is_refused(sandbox: Sandbox, tmp_path: Path, content_type: str) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await client.post(
            "/mcp", content=json.dumps(INITIALIZE), headers={**RIGHT, "Content-Type": content_type}
        )
        assert answer.status_code == 400


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_of_five_megabytes_is_refused(sandbox: Sandbox, tmp_path: Path, declared: bool) -> None:
    async def pieces() -> "object":
        for _ in range(5):
            yield b"x" * 1_000_000

    async with reached(sandbox, tmp_path, STATIC) as client:
        content = b"x" * 5_000_000 if declared else pieces()
        answer = await client.post("/mcp", content=content, headers=RIGHT)  # type: ignore[arg-type]
        assert answer.status_code == 413


async def test_forwarded_headers_change_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    forwarded = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": f"127.0.0.1:{PORT}",
        "X-Forwarded-Proto": "https",
        "Forwarded": f"for=127.0.0.1;host=127.0.0.1:{PORT}",
        "X-Real-IP": "127.0.0.1",
    }
    async with reached(sandbox, tmp_path, STATIC) as client:
        assert (await initialize(client, **forwarded)).status_code == 401
        assert (await initialize(client, **forwarded, **RIGHT, Host="evil.example")).status_code == 421
        assert (await initialize(client, **RIGHT, **{**forwarded, "X-Forwarded-Host": "evil.example"})).is_success


async def test_health_needs_no_token_and_says_nothing_else(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.load([talk("harbour")])
    async with reached(sandbox, tmp_path, STATIC) as client:
        answer = await client.get("/health")
        assert answer.json() == {"status": "ok"}
        assert "server" not in answer.headers
        assert sandbox.requests == []


async def test_with_a_static_token_hosts_are_not_sent_to_sign_in_anywhere(sandbox: Sandbox, tmp_path: Path) -> None:
    async with reached(sandbox, tmp_path, STATIC) as client:
        for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"):
            assert (await client.get(path)).status_code == 404


def test_a_token_is_made_once_in_a_file_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "new" / "http-token"
    token = http.own_token(file)
    assert len(token) >= 43
    assert http.own_token(file) == token
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o644)
        with pytest.raises(SettingsError, match="other users can read it"):
            http.own_token(file)


@pytest.mark.parametrize("content", ["", " \n", "short", "caf\u00e9"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "http-token"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="cannot be used"):
        http.own_token(file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "nas.example", ""])
def test_other_computers_are_let_in_only_with_a_token_that_was_chosen_for_it(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="OMI_MCP_HTTP_TOKEN"):
        http.access_policy(HttpAccess(), host, PORT, tmp_path)
    with pytest.raises(SettingsError, match="too short"):
        http.access_policy(HttpAccess(token="secret"), host, PORT, tmp_path)
    assert not list(tmp_path.iterdir())
    assert http.access_policy(STATIC, host, PORT, tmp_path).token_file is None


@pytest.mark.parametrize("token", ["x", "x" * 23])
def test_a_token_that_can_be_guessed_is_refused_on_this_computer_too(tmp_path: Path, token: str) -> None:
    with pytest.raises(SettingsError, match="OMI_MCP_HTTP_TOKEN: too short"):
        http.access_policy(HttpAccess(token=token), "127.0.0.1", PORT, tmp_path)
    assert http.access_policy(HttpAccess(token=token + "x" * 23), "127.0.0.1", PORT, tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "::1", "127.8.8.8"])
def test_on_this_computer_a_token_is_made_when_none_was_set(tmp_path: Path, host: str) -> None:
    assert http.access_policy(HttpAccess(), host, PORT, tmp_path).token_file == tmp_path / "http-token"


@pytest.mark.parametrize("token", ["with space", "line\nbreak", "caf\u00e9"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="OMI_MCP_HTTP_TOKEN") as refused:
        HttpAccess.from_env({"OMI_MCP_HTTP_TOKEN": token})
    assert token not in str(refused.value)


def test_the_token_is_kept_out_of_the_settings_repr() -> None:
    assert TOKEN not in repr(HttpAccess.from_env({"OMI_MCP_HTTP_TOKEN": TOKEN}))


def head(method: str, *more: str) -> bytes:
    """The head of a request with the right token."""
    lines = [f"{method} /mcp HTTP/1.1", f"Host: 127.0.0.1:{PORT}", f"Authorization: Bearer {TOKEN}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in ACCEPT.items()), *more, "", ""]).encode()


async def opened(port: int) -> str:
    """The id of a new session."""
    async with httpx.AsyncClient(headers={**ACCEPT, **RIGHT, "Host": f"127.0.0.1:{PORT}"}) as client:
        answer = await client.post(f"http://127.0.0.1:{port}/mcp", json=INITIALIZE)
        return answer.headers["mcp-session-id"]


async def received(stream: anyio.abc.ByteStream, last: bytes) -> bytes:
    """What comes up to `last`."""
    so_far = b""
    while not so_far.endswith(last):
        so_far += await stream.receive()
    return so_far


async def everything(stream: anyio.abc.ByteStream) -> bytes:
    """What comes until the other side closes or resets the connection."""
    received = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            received += await stream.receive()
    return received


async def answered(port: int) -> int:
    async with httpx.AsyncClient(headers={"Host": f"127.0.0.1:{PORT}"}) as client:
        return (await client.get(f"http://127.0.0.1:{port}/health")).status_code


@contextmanager
def served(tmp_path: Path, *arguments: str, demo: bool = True, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """A real server process, on a free port unless told otherwise."""
    arguments = ("--demo",) * demo + arguments
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    environment |= {"OMI_MCP_DATA_DIR": str(tmp_path), "OMI_MCP_TIMEZONE": "UTC", **changes}
    process = subprocess.Popen(
        [sys.executable, "-m", "omi_mcp", "--transport", "http", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], words: str) -> str:
    """The line of standard error with `words` in it."""
    assert process.stderr is not None
    return next((line for line in process.stderr if words in line), "")


async def test_a_served_process_answers_mcp_clients_of_both_eras_and_keeps_its_token_to_itself(tmp_path: Path) -> None:
    with served(tmp_path, OMI_MCP_LOG_LEVEL="DEBUG") as process:
        address = said(process, "serving http://").split()[2].rstrip(";")
        assert str(tmp_path / "http-token") in said(process, "token")
        token = (tmp_path / "http-token").read_text().strip()
        for mode in ("auto", "legacy"):
            async with (
                httpx2.AsyncClient(headers=bearer(token)) as http_client,
                Client(streamable_http_client(address, http_client=http_client), mode=mode) as client,
            ):
                assert (await call(client, "search_conversations", query="price"))["conversations"]
        async with httpx.AsyncClient() as stranger:
            assert (await stranger.post(address, json=INITIALIZE, headers=ACCEPT)).status_code == 401
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=30)
        assert token not in logged
        assert "Traceback" not in logged


@pytest.mark.exhaustive
def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with http.listen("127.0.0.1", 0) as taken, served(tmp_path, "--port", str(taken.getsockname()[1])) as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "cannot serve at 127.0.0.1" in errors
        assert errors.count("\n") == 1


@pytest.mark.exhaustive
def test_a_public_bind_without_authentication_ends_with_the_setting_to_make(tmp_path: Path) -> None:
    with served(tmp_path, "--host", "0.0.0.0") as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 2
        assert "OMI_MCP_HTTP_TOKEN" in errors


async def connects(port: int | None) -> bool:
    try:
        await (await anyio.connect_tcp("127.0.0.1", port or 0)).aclose()
    except OSError:
        return False
    return True


@pytest.mark.exhaustive
async def test_what_is_under_way_ends_before_the_server_does(sandbox: Sandbox, tmp_path: Path) -> None:
    creating, released = anyio.Event(), anyio.Event()

    async def pause() -> None:
        creating.set()
        await released.wait()

    sandbox.pause = pause
    note = "Ana writes down that the boat is sold to the doctor, and that the keeper teaches her to sail in May."
    create = tool_call("create_from_text", text=note)
    api = {"OMI_API_KEY": sandbox.key, "OMI_MCP_HTTP_TOKEN": TOKEN}
    async with (
        serving(sandbox) as url,
        httpx.AsyncClient(headers={**ACCEPT, **RIGHT}, timeout=30) as client,
    ):
        with served(tmp_path, OMI_API_BASE_URL=url, **api, demo=False) as process:
            address = said(process, "serving http://").split()[2].rstrip(";")
            client.headers["Mcp-Session-Id"] = (await client.post(address, json=INITIALIZE)).headers["mcp-session-id"]
            async with client.stream("POST", address, json=create) as answer:
                await creating.wait()
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(20):
                    while await connects(urlsplit(address).port):
                        pass
                await anyio.sleep(1)  # what would cut off the answer looks twice a second
                released.set()
                text = "".join([part async for part in answer.aiter_text()])
            assert '"isError":false' in text
            await anyio.to_thread.run_sync(process.wait)
    assert len(sandbox.ids()) == 1
    assert sandbox.ids()[0] in text
    assert http.SHUTDOWN_SECONDS > ANSWER_SECONDS


@pytest.mark.exhaustive
def test_a_proxy_can_notice_that_a_server_stops_before_it_does(tmp_path: Path) -> None:
    with (
        served(
            tmp_path,
            *("--public-url", "http://127.0.0.1:8765"),
            OMI_MCP_DRAIN_SECONDS="60",
            OMI_MCP_LOG_FORMAT="json",
            OMI_MCP_METRICS="0",
            demo=False,
        ) as process,
        httpx.Client() as proxy,
    ):
        address = json.loads(said(process, "serving http://"))["message"].split()[1].removesuffix("/mcp;")
        metrics = json.loads(said(process, "metrics at "))["message"].removeprefix("metrics at ")
        for _ in range(2):  # a request is measured once it is answered
            assert proxy.get(f"{address}/ready").json() == {"status": "ready"}
        assert 'route="/ready",status="200"' in proxy.get(metrics).text
        process.send_signal(signal.SIGTERM)
        answers = (proxy.get(f"{address}/ready") for _ in range(1_000))
        asked = next(each for each in answers if each.status_code != 200)
        assert (asked.status_code, asked.json(), asked.headers["connection"]) == (503, {"status": "stopping"}, "close")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)
