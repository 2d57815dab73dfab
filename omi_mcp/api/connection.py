"""The way to the API: where it is, who asks, how often one request is tried, and how much may come back."""

import json
import os
import random
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import timedelta
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
from pydantic import SecretStr

from omi_mcp._version import __version__
from omi_mcp.api.budget import SLACK, Bucket, Budget
from omi_mcp.api.errors import (
    AnswerLost,
    BudgetSpent,
    Garbled,
    InvalidRequest,
    NotConfigured,
    OmiError,
    RateLimited,
    ServerFault,
    Unauthorized,
    Unreachable,
)
from omi_mcp.api.refusals import refusal
from omi_mcp.clock import Clock
from omi_mcp.settings import is_secure

Method = Literal["GET", "POST", "PATCH", "DELETE"]
Answer = TypeVar("Answer")

READ_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
WRITE_TIMEOUT = httpx.Timeout(130.0, connect=10.0, pool=10.0)
"""OMI API: a create answers only when the language model is done, and the service gives up after 120 s."""

READ_DEADLINE = 60.0
WRITE_DEADLINE = 180.0
"""Seconds for one whole try: the timeouts alone would let an answer trickle in for ever."""

KEPT_SECONDS = 3.0
"""How long an idle connection may be used again. Some services close one after 5 s, just as a create goes out on it:
then nobody knows what became of the create.
"""

TRIES = 3
PATIENCE = timedelta(seconds=20)
"""No further try begins this long after the first: someone is waiting for the answer."""

LONGEST_WAIT = 3.0
"""A `Retry-After` of more seconds is for the caller to wait; the API's can be an hour."""

ANSWER_LIMIT = 64 * 2**20
"""Bytes, decompressed. OMI API: transcripts are unbounded."""

REFUSAL_LIMIT = 8 * 2**20
"""Bytes of an error body that are looked at. OMI API: a 422 repeats what was sent."""

_ROUTES = re.compile(r"(/v1(/dev(/.*)?)?/*)+$")
"""What follows the base in the addresses that the API's own documentation shows."""

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_PASSING = frozenset({500, 502, 503, 504})
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Connection:
    """Authenticated requests to one base URL. The key is in no attribute, exception or log line in the clear."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        clock: Clock,
        budget: Budget | None,
        transport: httpx.AsyncBaseTransport | None,
        rng: random.Random | None,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._base_url = checked_base_url(base_url)
        self._key = SecretStr(api_key or "")
        self._clock = clock
        self._budget = budget
        self._transport = transport
        self._rng = rng or random.Random()
        self._refused = refused
        self._http: httpx.AsyncClient | None = None
        self._writing: set[anyio.CancelScope] = set()

    async def request(
        self,
        method: Method,
        path: str,
        *,
        read: Callable[[Any], Answer],
        buckets: Sequence[Bucket],
        background: bool = False,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        tries: int = TRIES,
    ) -> Answer:
        """What `read` makes of the JSON of a 2xx answer; it runs in a worker thread, for answers can be megabytes.

        A request is tried at most `tries` times, and again only where it cannot be applied twice: when nothing was
        sent, or when it only reads.
        When this is cancelled, a write that has gone out is waited for, and its outcome returned or raised as ever; so
        a cancellation that comes out of here means that nothing was sent whose outcome is not known.

        Raises:
            OmiError: any of them; see `omi_mcp.api.errors`.
        """
        request = self._request(method, path, params, body)
        began = self._clock.now()
        failure: OmiError = Unreachable("nothing was sent")
        tried = 0
        while True:
            tried += 1
            try:
                await self._book(buckets, background)
            except BudgetSpent as spent:
                raise (failure if tried > 1 else spent) from None
            await anyio.lowlevel.checkpoint_if_cancelled()  # what was cancelled while it was booked is not sent
            with anyio.CancelScope(shield=method != "GET"):
                outcome = await self._try(request)
                if isinstance(outcome, bytes):
                    return await anyio.to_thread.run_sync(_answer, outcome, read)
                failure = outcome
                if isinstance(failure, Unauthorized):
                    self._refused()
                if self._budget is not None and isinstance(failure, RateLimited):
                    await self._budget.refused(buckets, failure)
                if self._budget is not None and isinstance(failure, Unreachable):
                    await self._budget.unsent(buckets)
            wait = self._wait(method, failure, tried) if tried < tries else None
            if wait is None or self._clock.now() - began >= PATIENCE:
                raise failure
            await self._clock.sleep(wait)

    def hurry(self, seconds: float) -> None:
        """Give the writes that are out no longer than that to be answered."""
        for scope in self._writing:
            scope.deadline = min(scope.deadline, anyio.current_time() + seconds)

    async def aclose(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _book(self, buckets: Sequence[Bucket], background: bool) -> None:
        if self._budget is not None:
            await self._budget.book(buckets, background=background)

    def _request(
        self, method: Method, path: str, params: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> httpx.Request:
        key = self._key.get_secret_value()
        if not key:
            raise NotConfigured("no Omi API key is set")
        if not _VISIBLE_ASCII.fullmatch(key):
            raise NotConfigured("the Omi API key has a space, a line break or another character that no key has")
        return self._client().build_request(
            method,
            self._base_url + path,
            params=params,
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=READ_TIMEOUT if method == "GET" else WRITE_TIMEOUT,
        )

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            try:
                self._http = httpx.AsyncClient(
                    transport=self._transport,
                    headers={
                        "User-Agent": f"omi-conversations-mcp/{__version__}",
                        "Accept": "application/json",
                        "Accept-Encoding": "gzip",
                    },
                    limits=httpx.Limits(keepalive_expiry=KEPT_SECONDS),
                    # No use for cookies, and httpx breaks on every request after one that it cannot encode.
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                    # Plain http stays on this machine, and trusts nobody's certificate.
                    verify=self._base_url.startswith("https:")
                    and _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
                    # A proxy would see the key of a plain http request, which only ever goes to this machine.
                    trust_env=self._base_url.startswith("https:"),
                )
            except (ImportError, OSError, ValueError, httpx.InvalidURL):
                raise InvalidRequest(
                    "environment",
                    "the proxy or certificate settings (HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE) cannot be used; "
                    "a SOCKS proxy needs the package httpx[socks]",
                ) from None
        return self._http

    async def _try(self, request: httpx.Request) -> bytes | OmiError:
        """One try: the body of a 2xx answer, or what went wrong.

        Failures are returned, so that none is raised with the HTTP library's exception, and the request in it, behind.
        """
        status, body = 0, b""
        headers: Mapping[str, str] = {}
        lost: AnswerLost | None = None
        try:
            with self._deadline(request):
                async with aclosing(await self._client().send(request, stream=True)) as response:
                    status, headers = response.status_code, response.headers
                    body = await _read(response)
        except _NOTHING_SENT:
            return Unreachable("no connection to the Omi API could be made")
        except (httpx.TimeoutException, TimeoutError):
            lost = AnswerLost("the Omi API did not answer in time")
        except (httpx.RequestError, OSError):
            lost = AnswerLost("the connection to the Omi API broke before its answer was complete")
        except anyio.get_cancelled_exc_class():
            if request.method == "GET":
                raise
            # No cancellation comes through the shield around a write, so this is the event loop being torn down.
            lost = AnswerLost("the program was stopped before the Omi API answered")
        succeeded = 200 <= status < 300
        if lost is not None and (succeeded or not status):
            return lost
        if succeeded:
            return body
        return refusal(status, headers, body, mcp_key=self._key.get_secret_value().startswith("omi_mcp_"))

    @contextmanager
    def _deadline(self, request: httpx.Request) -> Iterator[None]:
        """Raises TimeoutError when the block takes too long."""
        if request.method == "GET":
            with anyio.fail_after(READ_DEADLINE):
                yield
            return
        with anyio.fail_after(WRITE_DEADLINE) as scope:
            self._writing.add(scope)
            try:
                yield
            finally:
                self._writing.discard(scope)

    def _wait(self, method: Method, failure: OmiError, tried: int) -> float | None:
        """Seconds until the next try, None for none."""
        jitter = self._rng.uniform(0.2, 0.6)
        match failure:
            case Unreachable():
                return jitter * tried
            case _ if method != "GET":
                return None
            case RateLimited(retry_after=float(seconds)) if seconds <= LONGEST_WAIT:
                return seconds + SLACK + jitter
            case AnswerLost():
                return jitter * tried
            case ServerFault(status=status) if status in _PASSING:
                return jitter * tried
            case _:
                return None


@lru_cache(maxsize=1)
def _trust(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The certificates that httpx trusts by the environment; one set costs 40 ms and a megabyte, so all share it."""
    return httpx.create_ssl_context()


def checked_base_url(base_url: str) -> str:
    """`base_url` normalised, without a trailing slash or the beginning of a route.

    Raises:
        InvalidRequest: it is no plain https URL (http for this machine itself), so the key would not be safe with it.
    """
    try:
        url = httpx.URL(str(httpx.URL(base_url.strip())))  # once alone keeps the default port after HTTPS://
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.userinfo or url.query or url.fragment:
        raise InvalidRequest("OMI_API_BASE_URL", "must have no user name, password, query or fragment")
    if not url.host or not is_secure(url.scheme, url.host):
        raise InvalidRequest(
            "OMI_API_BASE_URL", "must be an https:// URL; http:// is accepted for this machine only (127.0.0.1)"
        )
    return _ROUTES.sub("", str(url)).rstrip("/")


async def _read(response: httpx.Response) -> bytes:
    """The body, decompressed; cut off soon after it is longer than the limit."""
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise httpx.DecodingError("an encoding that was not asked for; stacked ones could expand without bound")
    limit = ANSWER_LIMIT if response.is_success else REFUSAL_LIMIT
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def _answer(body: bytes, read: Callable[[Any], Answer]) -> Answer:
    if len(body) > ANSWER_LIMIT:
        raise AnswerLost(f"the Omi API's answer is larger than {ANSWER_LIMIT // 2**20} MiB")
    return read(_parsed(body))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    raise Garbled("what answered is not the Omi API")
