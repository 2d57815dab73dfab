"""The client over real sockets: what a scripted transport cannot show."""

import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from omi_mcp.api.client import OmiClient
from omi_mcp.api.errors import AnswerLost, Refused, Unreachable

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(answer: Callable[[SocketStream], Any], clock: Any) -> AsyncIterator[OmiClient]:
    """A client of a server that reads one request's head and leaves the rest to `answer`."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
            await answer(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)
        client = OmiClient(f"http://127.0.0.1:{port}", "omi_dev_a", clock=clock, rng=random.Random(1))
        with anyio.fail_after(5):
            yield client
        await client.aclose()
        tasks.cancel_scope.cancel()


async def test_a_port_nobody_listens_on_is_unreachable(clock: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = OmiClient(f"http://127.0.0.1:{unused.getsockname()[1]}", "omi_dev_a", clock=clock)
        with anyio.fail_after(10), pytest.raises(Unreachable):
            await client.delete("c1")
        await client.aclose()


async def test_a_connection_closed_without_a_word_loses_the_answer_of_a_write_once(clock: Any) -> None:
    asked = 0

    async def hang_up(stream: SocketStream) -> None:
        nonlocal asked
        asked += 1

    async with serving(hang_up, clock) as client:
        with pytest.raises(AnswerLost):
            await client.delete("c1")
    assert asked == 1


async def test_an_answer_shorter_than_announced_is_lost(clock: Any) -> None:
    async def stop_short(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]")

    async with serving(stop_short, clock) as client:
        with pytest.raises(AnswerLost):
            await client.folders()


async def test_something_that_does_not_speak_http_is_an_answer_lost(clock: Any) -> None:
    async def greet(stream: SocketStream) -> None:
        await stream.send(b"220 mail.test ESMTP SECRET-BANNER\r\n")

    async with serving(greet, clock) as client:
        with pytest.raises(AnswerLost) as lost:
            await client.folders()
    assert "BANNER" not in str(lost.value)


async def test_a_refusal_cut_short_is_still_a_refusal(clock: Any) -> None:
    async def refuse(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 100\r\n\r\n{")

    async with serving(refuse, clock) as client:
        with pytest.raises(Refused) as refused:
            await client.update("c1", title="t")
    assert refused.value.status == 413


async def test_a_proxy_from_the_environment_is_not_shown_a_plain_http_request(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")

    async def answer(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    async with serving(answer, clock) as client:
        assert await client.folders() == ()
