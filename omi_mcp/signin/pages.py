"""The pages people see: signing in for a host, and what they have connected."""

import asyncio
import difflib
import hmac
import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import httpx
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp

from omi_mcp import database
from omi_mcp.clock import Clock
from omi_mcp.settings import Settings, SignInSettings, bare_key
from omi_mcp.signin import hosts
from omi_mcp.signin.addresses import Addresses
from omi_mcp.signin.attempts import network
from omi_mcp.signin.documents import Unusable, is_document
from omi_mcp.signin.hosts import Host
from omi_mcp.signin.keys import KeyProblem, key_problem
from omi_mcp.signin.people import People
from omi_mcp.signin.provider import Asked, Provider
from omi_mcp.signin.recognition import Copies, Recognition
from omi_mcp.signin.store import KnownAccount, Store
from omi_mcp.signin.vault import Unreadable, Vault

SIGN_IN = "/signin"
CONNECTIONS = "/connections"

BODY_LIMIT = 32 * 1024
"""Bytes of a form."""

SESSION = "session"
SESSION_LIFE = timedelta(minutes=30)

ATTEMPTS = 20
ATTEMPTS_IN_ALL = 300
ATTEMPTS_SPAN = timedelta(minutes=10)

AT_ONCE = 8
"""Keys that are being tried."""

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that, browsers send `Origin: null` with the page's own form.
    "Referrer-Policy": "same-origin",
}

AWAY_SECONDS = 30.0
"""When to come again where the database is away."""

Forget = Callable[[str], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


class Pages:
    """`forget` closes an account's library and deletes its files."""

    def __init__(
        self,
        *,
        provider: Provider,
        people: People,
        store: Store,
        vault: Vault,
        settings: Settings,
        access: SignInSettings,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None,
        addresses: Addresses,
        forget: Forget,
        copies: Copies,
    ) -> None:
        self._provider = provider
        self._people = people
        self._store = store
        self._vault = vault
        self._settings = settings
        self._invite = access.invite
        self._clock = clock
        self._transport = transport
        self._addresses = addresses
        self._forget = forget
        self._recognition = Recognition(people, copies, settings, clock, transport)
        self._trying = asyncio.Semaphore(AT_ONCE)
        url = urlsplit(provider.issuer)
        self._secure = url.scheme == "https"
        self._prefix = "__Host-omi-" if self._secure else "omi-"
        self._templates = Environment(
            loader=PackageLoader("omi_mcp.signin"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "server": url.netloc,
            "resource": provider.resource,
            "zones": Markup().join(Markup("<option>{}</option>").format(zone) for zone in _zones()),
        }

    def routes(self) -> list[Route]:
        return [
            Route("/", _bounded(self._front), methods=["GET"]),
            Route(SIGN_IN, _bounded(self._or_away(self._ask)), methods=["GET"]),
            Route(SIGN_IN, _bounded(self._or_away(self._sign_in)), methods=["POST"]),
            Route(CONNECTIONS, _bounded(self._or_away(self._connections)), methods=["GET"]),
            Route(CONNECTIONS, _bounded(self._or_away(self._change)), methods=["POST"]),
            Route(f"{SIGN_IN}/style.css", _asset("style.css", "text/css"), methods=["GET"]),
            Route(f"{SIGN_IN}/zone.js", _asset("zone.js", "text/javascript"), methods=["GET"]),
        ]

    def _or_away(self, handler: Handler) -> Handler:
        """A page for who meets a database that is away: it is a person who reads it."""

        async def served(request: Request) -> Response:
            try:
                return await handler(request)
            except database.Away:
                return self._page("refused.html", request, status=503, wait=AWAY_SECONDS, reason="away", detail="")

        return served

    async def refused(self, request: Request) -> Response:
        """For a request of a host that cannot be answered to the host: it or its redirect is not known."""
        return await self._or_away(self._refused)(request)

    async def _refused(self, request: Request) -> Response:
        host_id = request.query_params.get("client_id", "")
        reason, detail = "request", ""
        try:
            if host_id and await self._provider.host(host_id) is None:
                reason = "unknown"
        except Unusable as error:
            reason, detail = "document", f"{hosts.domain(host_id)}: {error}"
        return self._page("refused.html", request, status=400, reason=reason, detail=detail)

    # Signing in for a host.

    async def _front(self, request: Request) -> Response:
        return self._page("front.html", request)

    async def _ask(self, request: Request) -> Response:
        try:
            asked, host = await self._asked(request.query_params.get("request", ""))
        except Unreadable:
            return self._page("refused.html", request, status=400, reason="late", detail="")
        return self._form(request, asked, host, request.query_params["request"])

    async def _sign_in(self, request: Request) -> Response:
        form = await request.form()
        if not self._is_own(request, form):
            return self._page("refused.html", request, status=403, reason="forged", detail="")
        sealed = _field(form, "request")
        try:
            asked, host = await self._asked(sealed)
        except Unreadable:
            return self._page("refused.html", request, status=400, reason="late", detail="")
        if "cancel" in form:
            return self._leave(request, asked, host, self._provider.back(asked, error="access_denied"), connected=False)
        writing = _field(form, "access") == "write" and asked.writing and not self._settings.read_only
        key, zone = bare_key(_field(form, "key")), _zone(_field(form, "timezone"))
        problems = {}
        if not key:
            problems["key"] = KeyProblem.MISSING.value
        if zone is None:
            problems["timezone"] = "unknown_zone" if _field(form, "timezone").strip() else "no_zone"
        if self._invite is not None and not _field(form, "invite").strip():
            problems["invite"] = "no_invite"
        wait = None
        if not problems:
            problems, wait = await self._tried(request, key, _field(form, "invite").strip(), writing=writing)
        if problems or zone is None:
            return self._form(request, asked, host, sealed, form=form, problems=problems, wait=wait)
        account = await self._account(key, zone)
        log.info("account %s signed in for a host at %s", account, ascii(hosts.place(asked.redirect_uri)))
        back = await self._provider.grant(asked, host, account, writing=writing)
        return self._leave(request, asked, host, back, connected=True)

    async def _account(self, key: str, timezone: str) -> str:
        """The id of the account that this key signs in to, new or not."""
        known = await self._people.known(key)
        if known is None and (known := await self._recognition.account(key)) is not None:
            log.info("account %s came with another key", known.id)
            if not await self._recognition.is_better(key, known):
                await database.run(self._store.set_timezone, known.id, timezone)
                return known.id
        return await self._people.keep(known.id if known else None, key, timezone)

    async def _asked(self, sealed: str) -> tuple[Asked, Host]:
        """Raises Unreadable where it was too long ago, or the host is gone meanwhile."""
        asked = self._provider.asked(sealed)
        host = await self._provider.get_client(asked.host)
        if host is None:
            raise Unreadable
        return asked, host

    async def _tried(
        self, request: Request, key: str, invite: str | None, *, writing: bool
    ) -> tuple[dict[str, str], float | None]:
        """What is wrong with a key and an invitation, by field; with the seconds to wait, where that is what it takes.

        `invite` None: none is asked for here.
        """
        address = self._addresses.of(request)
        if (wait := await self._attempted(address)) is not None:
            log.warning("too many attempts to sign in")
            return {"form": "too_many"}, wait
        if self._invite is not None and invite is not None and not _same(self._invite, invite):
            return {"invite": "wrong_invite"}, None
        if self._trying.locked():
            return {"form": "busy"}, 10.0
        async with self._trying:
            problem = await key_problem(
                self._settings.base_url, key, writing=writing, clock=self._clock, transport=self._transport
            )
        if problem is None:
            return {}, None
        log.info("a key was not signed in with: %s", problem)
        field = "form" if problem in (KeyProblem.LIMITED, KeyProblem.UNREACHABLE) else "key"
        return {field: problem.value}, None

    async def _attempted(self, address: str) -> float | None:
        """Seconds until the next attempt may be made; None where this one may, which is counted."""
        limits = [("all", ATTEMPTS_IN_ALL)]
        if asks := network(address):
            # Whose address it is, is nothing to keep.
            limits.append((self._vault.mark(f"attempt {asks}").hex(), ATTEMPTS))
        return await database.run(self._store.attempt, limits, ATTEMPTS_SPAN, self._clock.now())

    def _form(
        self,
        request: Request,
        asked: Asked,
        host: Host,
        sealed: str,
        *,
        form: FormData | None = None,
        problems: dict[str, str] | None = None,
        wait: float | None = None,
    ) -> Response:
        problems = problems or {}
        given = form or FormData()
        if problems:  # what is secret is not written into the page again
            again = [name for name in ("key", "invite") if _field(given, name) and name not in problems]
            problems |= dict.fromkeys(again, "again")
        zone = _field(given, "timezone").strip()[:80]
        return self._page(
            "sign_in.html",
            request,
            status=429 if wait is not None else 422 if problems else 200,
            wait=wait,
            host=host.shown_name,
            place=hosts.place(asked.redirect_uri),
            document=hosts.domain(host.client_id) if is_document(host.client_id) else "",
            writing=asked.writing and not self._settings.read_only,
            deleting=self._settings.allow_delete,
            request=sealed,
            access=_field(given, "access"),
            timezone=zone,
            near=_near(zone) if problems.get("timezone") == "unknown_zone" else None,
            invited=self._invite is not None,
            problems=problems,
        )

    def _leave(self, request: Request, asked: Asked, host: Host, url: str, *, connected: bool) -> Response:
        """A page that goes on to the host by itself.

        No redirect: Chromium holds every address that follows a form against form-action, also those the host sends
        the browser to, so that one for the whole way could not be strict.
        """
        return self._page(
            "leave.html",
            request,
            url=url,
            host=host.shown_name,
            place=hosts.place(asked.redirect_uri),
            connected=connected,
            # Where a browser has to find a program, or asks, the page stays: it needs a moment to be seen.
            seconds=0 if urlsplit(url).scheme in ("http", "https") else 1,
        )

    # What a person has connected.

    async def _connections(self, request: Request) -> Response:
        account = await self._session(request)
        return (
            await self._listed(request, account) if account else self._page("who.html", request, problems={}, wait=None)
        )

    async def _change(self, request: Request) -> Response:
        form = await request.form()
        if not self._is_own(request, form):
            return self._page("refused.html", request, status=403, reason="forged", detail="")
        action = _field(form, "action")
        if action == "enter":
            return await self._enter(request, form)
        account = await self._session(request)
        if account is None:
            return self._page("who.html", request, problems={"form": "session_over"}, wait=None)
        match action:
            case "end":
                await database.run(self._store.end_grant, _field(form, "grant"), account.id)
            case "zone":
                zone = _zone(_field(form, "timezone"))
                if zone is None:
                    return await self._listed(request, account, problems={"timezone": "unknown_zone"})
                await database.run(self._store.set_timezone, account.id, zone)
            case "replace":
                return await self._replace(request, account, bare_key(_field(form, "key")))
            case "forget":
                if _field(form, "sure") != "yes":
                    return await self._listed(request, account, problems={"sure": "not_sure"})
                await self._forgotten(account)
                return self._out(self._page("forgotten.html", request))
            case "out":
                return self._out(self._page("who.html", request, problems={}, wait=None))
        return RedirectResponse(CONNECTIONS, 303, SECURITY)

    async def _enter(self, request: Request, form: FormData) -> Response:
        key = bare_key(_field(form, "key"))
        problems, wait = {"key": KeyProblem.MISSING.value}, None
        known = account = None
        if key:
            problems, wait = await self._tried(request, key, None, writing=False)
        if not problems:
            known = await self._people.known(key)
            account = known or await self._recognition.account(key)
            problems = {} if account else {"key": "not_here"}
        if account is None:
            status = 429 if wait is not None else 422
            return self._page("who.html", request, status=status, problems=problems, wait=wait)
        mark = None
        if known is None and not await self._recognition.is_better(key, account):
            mark = self._people.current_mark(account)
        if mark is None:
            await self._people.keep(account.id, key, account.timezone)  # Omi has just taken it, whatever was before
            mark = self._people.mark(key)
        return self._in(RedirectResponse(CONNECTIONS, 303, SECURITY), account, mark)

    async def _replace(self, request: Request, account: KnownAccount, key: str) -> Response:
        problems, wait = {"new_key": KeyProblem.MISSING.value}, None
        if key:
            writing = any("write" in grant.scopes for grant in await database.run(self._store.grants, account.id))
            problems, wait = await self._tried(request, key, None, writing=writing)
            problems = {"new_key" if field == "key" else field: problem for field, problem in problems.items()}
        if not problems:
            known = await self._people.known(key)
            if known is not None and known.id != account.id:
                problems = {"new_key": "in_use"}
            elif await self._recognition.is_of_another(key, account):
                problems = {"new_key": "other_account"}
        if problems:
            return await self._listed(request, account, problems=problems, wait=wait)
        await self._people.keep(account.id, key, account.timezone)
        log.info("account %s has a new key", account.id)
        return self._in(RedirectResponse(CONNECTIONS, 303, SECURITY), account, self._people.mark(key))

    async def _forgotten(self, account: KnownAccount) -> None:
        # First what opens it, so that nothing opens the copy again while it is deleted.
        await database.run(self._store.forget_account, account.id)
        await self._forget(account.id)
        log.info("account %s was forgotten", account.id)

    async def _listed(
        self,
        request: Request,
        account: KnownAccount,
        *,
        problems: dict[str, str] | None = None,
        wait: float | None = None,
    ) -> Response:
        zone = ZoneInfo(account.timezone)
        grants = [
            {
                "id": grant.id,
                "name": grant.name,
                "place": grant.place,
                "writes": "write" in grant.scopes,
                "made": _day(grant.made, zone),
                "used": _day(grant.used or grant.made, zone, minutes=True),
            }
            for grant in await database.run(self._store.grants, account.id)
        ]
        return self._page(
            "connections.html",
            request,
            status=429 if wait is not None else 422 if problems else 200,
            wait=wait,
            grants=grants,
            timezone=account.timezone,
            since=_day(account.made, zone),
            problems=problems or {},
        )

    async def _session(self, request: Request) -> KnownAccount | None:
        """The account that the person has shown the key of, if it still has that key."""
        sealed = request.cookies.get(self._prefix + SESSION, "")
        try:
            account_id, mark = self._vault.open_sealed(SESSION, sealed, self._clock.now(), life=SESSION_LIFE)
        except Unreadable:
            return None
        account = await database.run(self._store.account, account_id)
        current = self._people.current_mark(account) if account else None
        return account if current is not None and _same(current.hex(), mark) else None

    def _in(self, response: Response, account: KnownAccount, mark: bytes) -> Response:
        sealed = self._vault.seal(SESSION, [account.id, mark.hex()], self._clock.now())
        return self._with_cookie(response, SESSION, sealed, life=SESSION_LIFE)

    def _out(self, response: Response) -> Response:
        return self._with_cookie(response, SESSION, "", life=timedelta(0))

    # What all pages share.

    def _page(self, template: str, request: Request, /, *, status: int = 200, **values: Any) -> Response:
        visitor = request.cookies.get(self._prefix + "form", "")
        new = len(visitor) < 20
        if new:
            visitor = secrets.token_urlsafe(24)
        wait = values.get("wait")
        page = self._templates.get_template(template).render(
            {
                "problems": {},
                **values,
                "form_token": self._form_token(visitor),
                "minutes": wait and math.ceil(wait / 60),
            }
        )
        response = Response(page, status, SECURITY, "text/html")
        if wait is not None:
            response.headers["retry-after"] = str(math.ceil(wait))
        return self._with_cookie(response, "form", visitor, life=None) if new else response

    def _is_own(self, request: Request, form: FormData) -> bool:
        """Whether a form was sent by a page of ours in the same browser."""
        visitor = request.cookies.get(self._prefix + "form", "")
        site = request.headers.get("sec-fetch-site", "same-origin")
        token = _field(form, "form_token")
        return (
            bool(visitor)
            and site in ("same-origin", "none")
            and any(_same(mark.hex(), token) for mark in self._vault.marks(f"form {visitor}"))
        )

    def _form_token(self, visitor: str) -> str:
        return self._vault.mark(f"form {visitor}").hex()

    def _with_cookie(self, response: Response, name: str, value: str, *, life: timedelta | None) -> Response:
        response.set_cookie(
            self._prefix + name,
            value,
            max_age=None if life is None else int(life.total_seconds()),
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return response


def _bounded(handler: Handler) -> ASGIApp:
    return RequestBodyLimitMiddleware(request_response(handler), BODY_LIMIT)


def _asset(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("omi_mcp.signin").joinpath("templates", name).read_bytes()

    async def asset(_: Request) -> Response:
        headers = {**SECURITY, "Cache-Control": "public, max-age=3600"}
        return Response(content, HTTPStatus.OK, headers, media_type)

    return asset


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    """The names that are offered: a place's, without the abbreviations and the systems' own."""
    own = ("Etc/", "posix/", "right/", "SystemV/", "US/", "Canada/")
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith(own))]


def _zone(text: str) -> str | None:
    """The time zone that is meant, as people write it: any case, blanks, or the city alone."""
    wanted = "_".join(text.split()).lower()
    if not wanted or len(wanted) > 80:
        return None
    names = {name.lower(): name for name in available_timezones() if not name.startswith(("posix/", "right/"))}
    if wanted in names:
        return names[wanted]
    cities = {name for name in _zones() if name.lower().rpartition("/")[2] == wanted}
    return cities.pop() if len(cities) == 1 else None


def _near(text: str) -> str | None:
    """A time zone that may have been meant."""
    wanted = "_".join(text.split()).lower()
    names = {name.lower(): name for name in _zones()} | {name.lower().rpartition("/")[2]: name for name in _zones()}
    found = difflib.get_close_matches(wanted, names, 1)
    return names[found[0]] if found else None


def _day(moment: datetime, zone: ZoneInfo, *, minutes: bool = False) -> str:
    local = moment.astimezone(zone)
    day = f"{local.day} {local:%B %Y}"
    return f"{day}, {local:%H:%M}" if minutes else day
