"""What is right and what is wrong with a server on the web, asked as a host would ask. Sends no key and no token."""

import base64
import hashlib
import html
import ipaddress
import json
import re
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from omi_mcp._version import __version__
from omi_mcp.commands.doctor.findings import Finding
from omi_mcp.settings import is_loopback, is_secure

TIMEOUT_SECONDS = 15.0

LONG_CREATE = 750_000
"""Bytes: as long as a request to save the longest conversation can be, with every character escaped."""

REDIRECTS = 3
"""How many the page may take: the server sends a browser from the authorization endpoint to its page."""

AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")
"""How hosts sign in to the token endpoint: some have no secret, and some refuse servers that take none."""

RETURN = "https://doctor.invalid/callback"
ELSEWHERE = "https://elsewhere.invalid/callback"
"""Where an authorization would lead back to: names that no one can ever have (RFC 6761)."""

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
"""Some tunnels put a page of their own before what a browser asks for, and only then."""

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "omi-mcp doctor", "version": __version__},
    },
}
AS_A_HOST = {"Accept": "application/json, text/event-stream", "User-Agent": f"omi-mcp-doctor/{__version__}"}
JSON = {"Accept": "application/json"}

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_ACTION = re.compile(r'<form[^>]* action="([^"]+)"')
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')

KEEP_HOST = (
    "Let the proxy pass the Host header on as it came (nginx: proxy_set_header Host $host;), and start the server "
    "with --public-url {origin}, or name it in OMI_MCP_HTTP_HOSTS where there is a fixed token"
)
PUBLIC_URL = "Start the server with --public-url {origin}"
PASS_ON = "Let the proxy or tunnel pass the server's headers on as they are."


async def examine(url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[Finding]:
    """Go the way of a host to the server at `url`, up to where a person would sign in.

    Leaves three registrations of a host behind, which lead nowhere.
    """
    address = _Address.read(url)
    if isinstance(address, Finding):
        yield address
        return
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT_SECONDS, headers=AS_A_HOST) as client:
        async for finding in _Visit(client, address).findings():
            yield finding


@dataclass(frozen=True)
class _Address:
    """The `url` that hosts connect to, and the `origin` that it and everything else is at."""

    url: str
    origin: str
    host: str

    @classmethod
    def read(cls, text: str) -> "_Address | Finding":
        try:
            parts = urlsplit(text.strip() if "://" in text else f"https://{text.strip()}")
            host, plain = parts.hostname, not (parts.username or parts.password or parts.query or parts.fragment)
            parts.port  # noqa: B018 (raises where it is no number)
        except ValueError:
            host, plain = None, False
        if not host or not plain:
            return Finding(
                "address", "problem", f"{text!r} is no address of a server", "Such as https://omi.example.com"
            )
        origin = _origin(f"{parts.scheme}://{parts.netloc}")
        if not is_secure(parts.scheme, host):
            return Finding(
                "address",
                "problem",
                f"{origin} has no TLS: hosts connect to https only, and the page would take the key in the clear",
                "Put a reverse proxy or a tunnel with a certificate before the server (docs/hosting.md).",
            )
        return cls(origin + (parts.path.rstrip("/") or "/mcp"), origin, host)

    def reach(self) -> Finding:
        """Whether somebody else could connect at all, as far as the name tells."""
        try:
            inside = not ipaddress.ip_address(self.host).is_global
        except ValueError:
            inside = (
                is_loopback(self.host) or "." not in self.host or self.host.endswith((".local", ".lan", ".internal"))
            )
        if inside:
            return Finding(
                "address",
                "note",
                f"{self.url} is an address inside this network",
                "Programs here can connect; ChatGPT and Claude on the web need a public https address.",
            )
        return Finding("address", "ok", f"hosts connect to {self.url}")


@dataclass
class _Visit:
    client: httpx.AsyncClient
    address: _Address
    registered: dict[str, Any] = field(default_factory=dict)
    """The registration of a host without a secret."""

    async def findings(self) -> AsyncIterator[Finding]:
        yield self.address.reach()
        health = await self._health()
        yield health
        if health.level == "problem":
            return
        if self.address.origin.startswith("https://") and urlsplit(self.address.origin).port is None:
            yield await self._without_tls()
        challenge = await self._challenge()
        if isinstance(challenge, Finding):
            yield challenge
            if challenge.level != "problem":
                async for finding in self._wire():
                    yield finding
            return
        yield Finding("challenge", "ok", "without a token every request gets 401, and is told where to sign in")
        resource, finding = await self._resource(challenge)
        yield finding
        async for finding in self._wire():
            yield finding
        if resource is None:
            return
        metadata = None
        async for found in self._metadata(resource):
            if isinstance(found, Finding):
                yield found
            else:
                metadata = found
        if metadata is None:
            return
        if _origin(str(metadata["issuer"])) != self.address.origin:
            yield Finding(
                "sign-in",
                "note",
                f"people sign in at another server, {metadata['issuer']}; nothing was registered or opened there",
                "What it asks and grants is its own matter.",
            )
            return
        async for finding in self._sign_in(metadata, resource):
            yield finding

    async def _health(self) -> Finding:
        """Whether what answers at the address is this server, reached under its public name."""
        check = "server"
        try:
            answer = await self.client.get(f"{self.address.origin}/health", headers=JSON)
        except httpx.HTTPError as error:
            return _unreachable(self.address, error)
        if answer.status_code == 200 and _json(answer).get("status") == "ok":
            return Finding(check, "ok", f"{self.address.origin} answers")
        if answer.status_code == 421:
            return Finding(
                check,
                "problem",
                "the server does not know the name it was called by (421): the proxy changes Host, or the server was "
                "started for another address",
                KEEP_HOST.format(origin=self.address.origin),
            )
        return Finding(check, "problem", *_in_between(answer, self.address, f"{self.address.origin}/health"))

    async def _without_tls(self) -> Finding:
        check, plain = "http", self.address.origin.replace("https://", "http://", 1)
        try:
            answer = await self.client.get(f"{plain}/health", headers=JSON, timeout=5.0)
        except httpx.HTTPError:
            return Finding(check, "ok", f"nothing answers at {plain}")
        if answer.is_redirect and answer.headers.get("location", "").startswith(self.address.origin):
            return Finding(check, "ok", f"{plain} leads to https")
        if not answer.is_success:
            return Finding(check, "ok", f"{plain} serves nothing (status {answer.status_code})")
        return Finding(
            check,
            "note",
            f"{plain} answers too, without TLS: a key typed there could be read on the way",
            "Let the proxy lead every http request to https.",
        )

    async def _challenge(self) -> Finding | str:
        """The address of the resource's metadata, which a refusal names; or what is wrong, or can only be noted."""
        check, url, named = "challenge", self.address.url, ""
        for method, target in (("POST", url), ("POST", f"{url}/"), ("GET", url)):
            try:
                answer = await self.client.request(method, target, json=INITIALIZE if method == "POST" else None)
            except httpx.HTTPError as error:
                return Finding(check, "problem", f"{method} {target} breaks off ({type(error).__name__})", PASS_ON)
            if answer.is_success:
                return Finding(
                    check,
                    "problem",
                    f"{method} {target} is answered without a token: whoever knows the address reads the conversations",
                    "If a proxy adds a token of its own, take that out; only hosts that signed in should have one.",
                )
            if answer.status_code != 401:
                return Finding(check, "problem", *_in_between(answer, self.address, f"{method} {target}"))
            challenge = answer.headers.get("www-authenticate", "")
            if not challenge.lower().startswith("bearer"):
                return Finding(
                    check,
                    "problem",
                    f"{method} {target} is refused (401) without WWW-Authenticate: hosts do not learn where to sign in",
                    PASS_ON,
                )
            named = str(dict(_PARAMETER.findall(challenge)).get("resource_metadata", ""))
            if not named:
                return await self._fixed_token()
            if _origin(named) != self.address.origin:
                return Finding(
                    check,
                    "problem",
                    f"a refusal sends hosts to {_shown(named)}, which is not at {self.address.origin}",
                    PUBLIC_URL.format(origin=self.address.origin),
                )
        return named

    async def _fixed_token(self) -> Finding:
        """What a challenge means that names no metadata."""
        if (await self._get_json(self._well_known()))[0]:
            return Finding(
                "challenge",
                "problem",
                "a refusal does not name the resource's metadata (resource_metadata), though there is some",
                PASS_ON,
            )
        return Finding(
            "challenge",
            "note",
            "this server takes one fixed token: hosts that let you enter a header can connect, such as Claude Code "
            "and Cursor; ChatGPT and Claude on the web cannot",
            f"For those, {PUBLIC_URL[0].lower()}{PUBLIC_URL[1:].format(origin=self.address.origin)}: people then sign "
            "in with their Omi key.",
        )

    def _well_known(self) -> str:
        return f"{self.address.origin}/.well-known/oauth-protected-resource{urlsplit(self.address.url).path}"

    async def _resource(self, named: str) -> tuple[dict[str, Any] | None, Finding]:
        """The protected resource's metadata (RFC 9728), None where no host could go on with it."""
        check = "resource"
        found, why = await self._get_json(named)
        if not found:
            return None, Finding(check, "problem", f"{named} is no metadata: {why}", _PATHS)
        servers = found.get("authorization_servers")
        if not isinstance(servers, list) or not servers or not isinstance(servers[0], str):
            return None, Finding(check, "problem", f"{named} names no authorization server", _PATHS)
        if found.get("resource") != self.address.url:
            return found, Finding(
                check,
                "problem",
                f"the server calls itself {_shown(found.get('resource'))}; hosts compare that with the address they "
                f"connect to, {self.address.url}",
                f"Enter {_shown(found.get('resource'))} in the host, or start the server with the --public-url it is "
                "known by.",
            )
        guessed = self._well_known()
        if named != guessed and not (await self._get_json(guessed))[0]:
            return found, Finding(check, "note", f"hosts that guess look at {guessed} and find nothing", _PATHS)
        return found, Finding(check, "ok", f"its metadata is for {self.address.url}")

    async def _metadata(self, resource: Mapping[str, Any]) -> AsyncIterator[Finding | dict[str, Any]]:
        """What is found of the authorization server's metadata (RFC 8414); the metadata itself where it can be used."""
        check, issuer = "authorization server", str(resource["authorization_servers"][0])
        if not is_secure(urlsplit(issuer).scheme, urlsplit(issuer).hostname):
            yield Finding(
                check,
                "problem",
                f"it is said to be {_shown(issuer)}, which has no TLS",
                PUBLIC_URL.format(origin=self.address.origin),
            )
            return
        tried = []
        for url in _issuer_metadata(issuer):
            found, why = await self._get_json(url)
            if found:
                break
            tried.append(f"{url}: {why}")
        else:
            yield Finding(check, "problem", f"{_shown(issuer)} has no metadata ({'; '.join(tried)})", _PATHS)
            return
        own = _origin(issuer) == self.address.origin
        wrong = _faults(found, issuer, self.address.origin if own else None)
        for fault, remedy in wrong:
            yield Finding(check, "problem", fault, remedy)
        if wrong:
            return
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        registers = bool(found.get("registration_endpoint"))
        documents = found.get("client_id_metadata_document_supported") is True
        if own and (missing := [method for method in AUTH_METHODS if method not in methods]):
            yield Finding(
                check, "problem", f"it does not say that it takes {', '.join(missing)}: hosts differ in what they need",
                "Update the server; nothing in between changes metadata by accident.",
            )  # fmt: skip
        elif own and not (registers and documents):
            yield Finding(
                check,
                "problem",
                "hosts cannot make themselves known to it: it names no registration or no client metadata documents",
                "Update the server; nothing in between changes metadata by accident.",
            )
        elif not (registers or documents):
            yield Finding(
                check,
                "note",
                f"{_shown(issuer)} lets no host register itself",
                "Create a client there for each host, and enter its id (and secret) where the host asks for them.",
            )
        else:
            yield Finding(check, "ok", f"{_shown(issuer)} says all that hosts ask for")
        yield found

    async def _sign_in(self, metadata: Mapping[str, Any], resource: Mapping[str, Any]) -> AsyncIterator[Finding]:
        """Registration, page and token endpoint, as far as one gets without a key."""
        registration = await self._registration(str(metadata["registration_endpoint"]))
        yield registration
        if not self.registered:
            return
        scopes = resource.get("scopes_supported") or metadata.get("scopes_supported") or []
        verifier = secrets.token_urlsafe(48)
        request = {
            "response_type": "code",
            "client_id": str(self.registered["client_id"]),
            "redirect_uri": RETURN,
            "state": secrets.token_urlsafe(16),
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            "resource": self.address.url,
            **({"scope": " ".join(scopes)} if scopes else {}),
        }
        endpoint = str(metadata["authorization_endpoint"])
        yield await self._page(endpoint, request)
        yield await self._strays(endpoint, {**request, "redirect_uri": ELSEWHERE})
        yield await self._token(str(metadata["token_endpoint"]), verifier)

    async def _registration(self, endpoint: str) -> Finding:
        check = "registration"
        for method in reversed(AUTH_METHODS):
            client = {
                "client_name": "omi-mcp doctor",
                "redirect_uris": [RETURN],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": method,
            }
            try:
                answer = await self.client.post(endpoint, json=client)
            except httpx.HTTPError as error:
                return Finding(check, "problem", f"{endpoint} breaks off ({type(error).__name__})", PASS_ON)
            if answer.status_code in (429, 503):
                return Finding(
                    check,
                    "note",
                    "the server takes no registration now: it has had many lately",
                    f"Try again {_after(answer)}; what is registered and never used goes by itself.",
                )
            made = _json(answer)
            if answer.status_code != 201 or "client_id" not in made:
                return Finding(check, "problem", *_in_between(answer, self.address, f"POST {endpoint}"))
            if made.get("token_endpoint_auth_method") != method or (method != "none") != bool(
                made.get("client_secret")
            ):
                return Finding(
                    check, "problem", f"a host that asked for {method} got something else", "Update the server."
                )
        self.registered = made
        return Finding(check, "ok", "hosts register themselves, with and without a secret")

    async def _page(self, endpoint: str, request: Mapping[str, str]) -> Finding:
        """The page where a person signs in, as their browser gets it."""
        check = "page"
        url, query = endpoint, dict(request)
        for _ in range(REDIRECTS):
            try:
                page = await self.client.get(
                    url, params=query or None, headers={"User-Agent": BROWSER, "Accept": "text/html"}
                )
            except httpx.HTTPError as error:
                return Finding(check, "problem", f"{url} breaks off ({type(error).__name__})", PASS_ON)
            if not page.is_redirect:
                break
            url, query = str(page.url.join(page.headers["location"])), {}
            if _origin(url) != self.address.origin:
                return Finding(check, "problem", *_in_between(page, self.address, "the page to sign in at"))
        if page.status_code != 200 or "text/html" not in page.headers.get("content-type", ""):
            return Finding(check, "problem", *_in_between(page, self.address, "the page to sign in at"))
        if "<form" not in page.text or "omi" not in page.text.lower():
            return Finding(
                check,
                "problem",
                "a browser that asks for the page to sign in at gets another page",
                "Some tunnels show a warning of their own first: switch it off there, or use another.",
            )
        if missing := _unguarded(page.headers, self.address.origin):
            return Finding(check, "problem", f"it comes without what protects it: {', '.join(missing)}", PASS_ON)
        return await self._form(page)

    async def _form(self, page: httpx.Response) -> Finding:
        """What becomes of the page's form, sent as a browser sends it; it is cancelled, so nothing is asked of Omi."""
        fields = dict(_HIDDEN.findall(page.text))
        action = _ACTION.search(page.text)
        target = str(page.url.join(html.unescape(action[1]) if action else ""))
        form = {name: html.unescape(value) for name, value in fields.items()} | {"cancel": "yes"}
        headers = {"User-Agent": BROWSER, "Origin": self.address.origin, "Sec-Fetch-Site": "same-origin"}
        try:
            answer = await self.client.post(target, data=form, headers=headers)
        except httpx.HTTPError as error:
            return Finding("page", "problem", f"its form breaks off ({type(error).__name__})", PASS_ON)
        if RETURN not in html.unescape(answer.text) + answer.headers.get("location", ""):
            return Finding(
                "page",
                "problem",
                f"the page comes, but its form is refused (status {answer.status_code})",
                "Let the proxy pass cookies, Origin and what is posted on as they are, and start the server with "
                f"--public-url {self.address.origin}",
            )
        return Finding(
            "page", "ok", "the page to sign in at comes whole, for no frame and no cache, and takes its form"
        )

    async def _strays(self, endpoint: str, request: Mapping[str, str]) -> Finding:
        check = "redirects"
        try:
            answer = await self.client.get(endpoint, params=dict(request))
        except httpx.HTTPError as error:
            return Finding(check, "problem", f"{endpoint} breaks off ({type(error).__name__})", PASS_ON)
        if ELSEWHERE in answer.headers.get("location", "") or answer.is_success:
            return Finding(
                check,
                "problem",
                "the server would send a sign-in to an address that no host registered",
                "Stop the server and update it.",
            )
        return Finding(check, "ok", "a sign-in only leads back to where its host registered")

    async def _token(self, endpoint: str, verifier: str) -> Finding:
        """A code that was never given out must be refused in the form that hosts read."""
        check = "token endpoint"
        form = {
            "grant_type": "authorization_code",
            "code": secrets.token_urlsafe(32),
            "redirect_uri": RETURN,
            "client_id": str(self.registered["client_id"]),
            "code_verifier": verifier,
            "resource": self.address.url,
        }
        try:
            answer = await self.client.post(endpoint, data=form)
        except httpx.HTTPError as error:
            return Finding(check, "problem", f"{endpoint} breaks off ({type(error).__name__})", PASS_ON)
        if answer.status_code not in (400, 401) or not isinstance(_json(answer).get("error"), str):
            return Finding(check, "problem", *_in_between(answer, self.address, f"POST {endpoint}"))
        if "no-store" not in answer.headers.get("cache-control", ""):
            return Finding(check, "problem", "its answers may be kept in a cache (no Cache-Control: no-store)", PASS_ON)
        return Finding(check, "ok", "forms arrive, and a made-up code gets nothing")

    async def _wire(self) -> AsyncIterator[Finding]:
        """What a proxy may do to long requests and to answers that come in parts."""
        try:
            answer = await self.client.post(self.address.url, json={**INITIALIZE, "padding": "x" * LONG_CREATE})
        except httpx.HTTPError as error:
            yield Finding("long requests", "problem", f"one breaks off ({type(error).__name__})", _LONGER)
        else:
            if answer.status_code == 413:
                yield Finding("long requests", "problem", f"{LONG_CREATE:,} bytes are too many for the proxy", _LONGER)
            else:
                yield Finding("long requests", "ok", f"{LONG_CREATE:,} bytes get through")
        try:
            streamed = await self._streamed()
        except httpx.HTTPError as error:
            yield Finding("streaming", "problem", f"a stream breaks off ({type(error).__name__})", _UNBUFFERED)
            return
        if streamed is None:
            yield Finding("streaming", "note", "the server is of another version, so this was not tried", "Update it.")
        elif streamed:
            yield Finding("streaming", "ok", "what the server sends in parts arrives in parts")
        else:
            yield Finding(
                "streaming",
                "note",
                "the proxy holds answers back until they are whole: they arrive, but progress does not show",
                _UNBUFFERED,
            )

    async def _streamed(self) -> bool | None:
        """Whether the first of two events arrives before the second was sent; None where none are sent."""
        headers = {"Accept": "text/event-stream"}
        async with self.client.stream("GET", f"{self.address.origin}/health", headers=headers) as answer:
            if "text/event-stream" not in answer.headers.get("content-type", ""):
                return None
            arrived = ""
            async for part in answer.aiter_text():
                arrived += part
                if "\n\n" in arrived.replace("\r\n", "\n"):
                    return arrived.count("data:") == 1
        return False

    async def _get_json(self, url: str) -> tuple[dict[str, Any], str]:
        """The JSON object at `url`, or {} and why there is none."""
        try:
            answer = await self.client.get(url, headers=JSON)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return {}, type(error).__name__
        if answer.status_code != 200:
            return {}, f"status {answer.status_code}"
        found = _json(answer)
        return found, "" if found else "no JSON"


_PATHS = "Let the proxy pass every path on, also those under /.well-known/."
_LONGER = "Let the proxy take requests of 2 MB (nginx: client_max_body_size 2m;)."
_UNBUFFERED = (
    "Switch buffering off for this server (nginx: proxy_buffering off;). Some tunnels cannot: then nothing is lost but "
    "progress."
)


def _faults(found: Mapping[str, Any], issuer: str, origin: str | None) -> Sequence[tuple[str, str]]:
    """What keeps hosts from using this metadata of `issuer`; `origin` is where its endpoints belong."""
    public = PUBLIC_URL.format(origin=origin) if origin else "That is for the authorization server's keeper to mend."
    faults = []
    if found.get("issuer") != issuer:
        faults.append((f"it calls itself {_shown(found.get('issuer'))}, and was named as {_shown(issuer)}", public))
    for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"):
        url = found.get(name)
        if url is None and name in ("registration_endpoint", "revocation_endpoint"):
            continue
        if not isinstance(url, str) or not is_secure(urlsplit(url).scheme, urlsplit(url).hostname):
            faults.append((f"its {name} is {_shown(url)}, which no host will use", public))
        elif origin and _origin(url) != origin:
            faults.append((f"its {name} is {_shown(url)}, which is not at {origin}", public))
    if "S256" not in (found.get("code_challenge_methods_supported") or ()):
        faults.append(("it does not say that it takes PKCE with S256, without which hosts refuse it", public))
    if "code" not in (found.get("response_types_supported") or ()):
        faults.append(("it does not say that it gives codes (response_types_supported)", public))
    return faults


def _unguarded(headers: httpx.Headers, origin: str) -> Sequence[str]:
    """What a page that takes a key must come with, and this one does not."""
    policy = {
        name: sources
        for directive in headers.get("content-security-policy", "").split(";")
        for name, *sources in [directive.split() or [""]]
    }
    missing = []
    if policy.get("frame-ancestors") != ["'none'"]:
        missing.append("frame-ancestors 'none' (Content-Security-Policy)")
    if "default-src" not in policy:
        missing.append("default-src (Content-Security-Policy)")
    if "no-store" not in headers.get("cache-control", ""):
        missing.append("Cache-Control: no-store")
    if headers.get("x-content-type-options", "").lower() != "nosniff":
        missing.append("X-Content-Type-Options: nosniff")
    if headers.get("referrer-policy", "").lower() not in ("no-referrer", "same-origin", "strict-origin"):
        missing.append("Referrer-Policy: no-referrer")
    for cookie in headers.get_list("set-cookie"):
        if origin.startswith("https://") and "secure" not in cookie.lower():
            missing.append("Secure on a cookie")
    return missing


def _unreachable(address: _Address, error: httpx.HTTPError) -> Finding:
    """Why nothing answers, from what was underneath."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    said = f"{address.origin} cannot be reached"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Finding(
                "server",
                "problem",
                f"the certificate of {address.host} is not accepted: {cause.verify_message}",
                "Get one from a public authority, whole with its chain; Caddy and most tunnels do it themselves.",
            )
        if isinstance(cause, ssl.SSLError):
            return Finding(
                "server",
                "problem",
                f"{said}: no TLS is spoken there",
                "Is the port the proxy's, and not the server's own? The server itself speaks plain http.",
            )
        if isinstance(cause, socket.gaierror):
            return Finding(
                "server",
                "problem",
                f"the name {address.host} is not known",
                "Create its DNS record, or give a new one some minutes.",
            )
    if isinstance(error, httpx.TimeoutException):
        return Finding(
            "server", "problem", f"{said}: no answer within {TIMEOUT_SECONDS:.0f} s", "Is a firewall in between?"
        )
    return Finding(
        "server",
        "problem",
        f"{said} ({type(error).__name__})",
        "Start the proxy or tunnel, and check that its port is open.",
    )


def _in_between(answer: httpx.Response, address: _Address, what: str) -> tuple[str, str]:
    """What came instead of the server's answer, and what to do about it."""
    if "cf-mitigated" in answer.headers:
        return (
            f"{what}: Cloudflare asks whether a person is there, which no host can answer",
            "Add a rule there that skips bot protection for this name.",
        )
    if answer.is_redirect:
        where = str(answer.url.join(answer.headers.get("location", "")))
        if _origin(where) == address.origin.replace("https://", "http://", 1):
            return f"{what} is led to {_shown(where)}, out of https", "Let nothing before the server redirect."
        if _origin(where) != address.origin:
            return (
                f"{what} is led away to {_shown(where)}: something before the server wants a sign-in of its own",
                "Take the server's name out of that; it has its own sign-in.",
            )
        return (
            f"{what} is redirected to {_shown(where)}; hosts lose what they send on the way",
            "Let nothing before the server redirect, also not from or to a slash at the end.",
        )
    if answer.status_code in (502, 503, 504) or answer.status_code >= 520:
        return (
            f"{what} gets status {answer.status_code}: the proxy runs, and does not reach the server",
            "Start the server, and check the address and port that the proxy sends to (http://127.0.0.1:8765).",
        )
    if answer.status_code == 404:
        return f"{what} does not exist (404): another server answers, or not every path is passed on", _PATHS
    if answer.status_code == 403:
        return f"{what} is forbidden (403)", "Something before the server refuses it: a firewall or bot protection."
    if answer.status_code == 429:
        return f"{what} is refused (429): too many requests lately", f"Try again {_after(answer)}."
    kind = answer.headers.get("content-type", "nothing").partition(";")[0]
    return f"{what} gets status {answer.status_code} with {kind}, which is not this server's answer", _PATHS


def _after(answer: httpx.Response) -> str:
    wait = answer.headers.get("retry-after", "")
    return f"in {wait} s" if wait.isascii() and wait.isdigit() else "later"


def _issuer_metadata(issuer: str) -> Sequence[str]:
    """Where hosts look for an issuer's metadata, in their order."""
    origin, path = _origin(issuer), urlsplit(issuer).path.rstrip("/")
    places = [
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    ]
    return list(dict.fromkeys(places))


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, " ")
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(usual)}"


def _json(answer: httpx.Response) -> dict[str, Any]:
    """The object that was answered; {} where it was something else."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _shown(value: object) -> str:
    """Something that a stranger sent, for a terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    return ascii(text[:200])[1:-1]
