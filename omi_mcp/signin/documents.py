"""Client ID Metadata Documents: a host whose id is the https address of a document that describes it.

The address is a stranger's, so fetching is guarded: https at its usual port, at public addresses only, without
redirects, short, and within seconds. What was found is kept for a while, and so is that nothing was.
"""

import asyncio
import ipaddress
import json
import logging
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import anyio
import httpx

from omi_mcp._version import __version__
from omi_mcp.clock import Clock
from omi_mcp.signin.hosts import LONGEST_URL, Host, domain, from_document

SECONDS = 5.0
"""For the whole: the name, the connection and the answer."""
LIMIT = 5 * 1024
"""Bytes of a document."""
FRESH = timedelta(hours=1)
FAILED = timedelta(seconds=30)
"""How long it is remembered that there is no usable document: nobody can make this server ask on and on."""
MOST = 500
"""Documents that are remembered."""
AT_ONCE = 8

Resolve = Callable[[str], Awaitable[list[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

log = logging.getLogger(__name__)


class Unusable(Exception):
    """There is no usable document. `str()` is a sentence that a person who wanted to connect the host may read."""


@dataclass(frozen=True)
class _Found:
    host: Host | None
    problem: str
    until: datetime


def is_document(host_id: str) -> bool:
    """Whether this id of a host is the address of a document."""
    return host_id.startswith("https://")


async def resolved(name: str) -> list[str]:
    """The addresses of a name. Raises OSError."""
    found = await anyio.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Documents:
    """Fetches documents, and remembers what was found. `resolve` and `transport` take the place of the network."""

    def __init__(
        self,
        clock: Clock,
        *,
        resolve: Resolve = resolved,
        transport: httpx.AsyncBaseTransport | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._clock = clock
        self._resolve = resolve
        self._transport = transport
        self._seconds = seconds
        self._found: OrderedDict[str, _Found] = OrderedDict()
        self._busy = asyncio.Semaphore(AT_ONCE)

    async def host(self, url: str) -> Host:
        """The host whose document lies at `url`. Raises Unusable."""
        found = self._found.get(url)
        if found is None or found.until <= self._clock.now():
            found = await self._look(url)
            self._found[url] = found
            self._found.move_to_end(url)
            while len(self._found) > MOST:
                self._found.popitem(last=False)
        if found.host is None:
            raise Unusable(found.problem)
        return found.host

    async def _look(self, url: str) -> _Found:
        try:
            with anyio.fail_after(self._seconds):
                async with self._busy:
                    document = await self._fetched(url)
            return _Found(from_document(url, document), "", self._clock.now() + FRESH)
        except TimeoutError:
            problem = "it could not be fetched in time"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError):
            problem = "it could not be fetched"
        except (ValueError, RecursionError) as error:
            problem = str(error) if type(error) is ValueError else "it is not JSON"
        log.info("the document of a host at %s was not used: %s", ascii(domain(url)), problem)
        return _Found(None, problem, self._clock.now() + FAILED)

    async def _fetched(self, url: str) -> object:
        name = _checked_name(url)
        addresses = await self._resolve(name)
        if not addresses or not all(map(is_public, addresses)):
            raise ValueError("its address is not a public one")
        # To the address that was checked, whatever the name means a moment later; the certificate is for the name.
        async with (
            # A proxy would look the name up by itself, and could reach what this server must not.
            httpx.AsyncClient(transport=self._transport, timeout=self._seconds, trust_env=False) as client,
            client.stream(
                "GET",
                httpx.URL(url).copy_with(host=addresses[0]),
                headers={
                    "Host": name,
                    "User-Agent": f"omi-conversations-mcp/{__version__}",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                },
                extensions={"sni_hostname": name},
                follow_redirects=False,
            ) as response,
        ):
            if response.status_code != 200:
                raise ValueError("it could not be fetched" if response.status_code >= 400 else "it lies elsewhere")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError("it is compressed, which was not asked for")
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > LIMIT:
                    raise ValueError("it is too long")
        return json.loads(body)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also by way of the IPv4 address inside an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner: ipaddress.IPv4Address | None = None
    if isinstance(ip, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None
        inner = ip.ipv4_mapped or ip.sixtofour or nat64
        if ip.teredo is not None:
            return False
    return (inner or ip).is_global and not (inner or ip).is_multicast and not ip.is_multicast


def _checked_name(url: str) -> str:
    """The name in a document's address. Raises ValueError where it may not be asked."""
    try:
        parts = urlsplit(url)
        usual = parts.port in (None, 443)
    except ValueError:
        raise ValueError("its address cannot be used") from None
    path = parts.path
    plain = url.isascii() and url.isprintable() and len(url) <= LONGEST_URL and not {" ", "#", "\\"} & set(url)
    if not (plain and usual and parts.scheme == "https" and parts.hostname and parts.username is None):
        raise ValueError("its address cannot be used")
    if path in ("", "/") or {".", ".."} & set(path.split("/")):
        raise ValueError("its address cannot be used")
    return parts.hostname
