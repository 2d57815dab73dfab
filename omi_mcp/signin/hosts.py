"""The hosts that ask: what they say of themselves, by registration or by document, and where answers may go."""

import json
import re
import unicodedata
from urllib.parse import urlsplit

from mcp.server.auth.provider import RegistrationError
from mcp.shared.auth import InvalidRedirectUriError, OAuthClientInformationFull
from pydantic import AnyUrl, ValidationError

from omi_mcp.accounts import READ, WRITE
from omi_mcp.settings import is_loopback

MOST_REDIRECTS = 20
LONGEST_URL = 2_000
LONGEST_NAME = 60
"""Characters of a host's name that are shown."""

MOST_MARKS = 2
"""Accents on one letter: a heap of them would run over what is above and below."""

PUBLIC = "none"
"""A host without a secret, as RFC 7591 calls it: PKCE is what ties its tokens to it."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_IN_BROWSERS = frozenset(
    {
        "javascript",
        "data",
        "blob",
        "file",
        "filesystem",
        "vbscript",
        "about",
        "view-source",
        "ws",
        "wss",
        "ftp",
        "mailto",
    }
)
"""Schemes that no program of a person's can own, or in which a browser would run what is written."""


class Host(OAuthClientInformationFull):
    """A host, with what the SDK asks it about a request."""

    def validate_scope(self, requested_scope: str | None) -> list[str] | None:
        """What of it there is here; hosts also ask for what other servers have, such as offline_access."""
        if requested_scope is None:
            return None
        return [scope for scope in requested_scope.split() if scope in (READ, WRITE)] or None

    def validate_redirect_uri(self, redirect_uri: AnyUrl | None) -> AnyUrl:
        """Exactly one of its own; at loopback addresses with any port (RFC 8252, 7.3)."""
        if redirect_uri is None or not self.redirect_uris or redirect_uri in self.redirect_uris:
            return super().validate_redirect_uri(redirect_uri)
        asked = _portless(str(redirect_uri))
        if asked is None or asked not in {_portless(str(known)) for known in self.redirect_uris}:
            raise InvalidRedirectUriError("redirect_uri is not one of this host's")
        return redirect_uri

    @property
    def shown_name(self) -> str:
        return shown(self.client_name or "")

    def metadata(self) -> str:
        """What is kept of it: what is needed to answer it, and nothing that is secret."""
        return json.dumps(
            {
                "client_id": self.client_id,
                "client_name": (self.client_name or "")[: 4 * LONGEST_NAME],
                "redirect_uris": [str(uri) for uri in self.redirect_uris or ()],
                "token_endpoint_auth_method": self.token_endpoint_auth_method,
                "grant_types": ["authorization_code", "refresh_token"],
            }
        )


def checked(host: Host) -> Host:
    """The host, with the redirects that answers may go to. Raises RegistrationError."""
    uris = host.redirect_uris or []
    if not 0 < len(uris) <= MOST_REDIRECTS:
        raise RegistrationError("invalid_redirect_uri", f"redirect_uris: 1 to {MOST_REDIRECTS} are accepted")
    for uri in uris:
        if not _is_safe(str(uri)):
            raise RegistrationError(
                "invalid_redirect_uri",
                "redirect_uris: accepted are https URLs, http URLs of the computer itself, and schemes of programs",
            )
    return host


def read(metadata: str) -> Host:
    """The host as it was kept."""
    return Host.model_validate_json(metadata)


def from_document(url: str, document: object) -> Host:
    """The host whose document lies at `url`. Raises ValueError that says in a sentence what is wrong with it."""
    if not isinstance(document, dict) or document.get("client_id") != url:
        raise ValueError("its client_id is not its own address")
    methods = document.get("token_endpoint_auth_methods_supported")
    method = document.get("token_endpoint_auth_method", PUBLIC)
    # A document can hold no secret; where it prefers to sign with a key, it may say that it can do without.
    if method != PUBLIC and not (isinstance(methods, list) and PUBLIC in methods):
        raise ValueError("it asks to authenticate in a way that this server does not know")
    try:
        return checked(
            Host.model_validate(
                {
                    "client_id": url,
                    "client_name": document.get("client_name"),
                    "redirect_uris": document.get("redirect_uris"),
                    "token_endpoint_auth_method": PUBLIC,
                }
            )
        )
    except (ValidationError, RegistrationError):
        raise ValueError("its client_name or redirect_uris cannot be used") from None


def place(redirect_uri: str) -> str:
    """Where a redirect leads, in words a person can check: a name on the web, or a program on their computer."""
    url = urlsplit(redirect_uri)
    if url.scheme in ("http", "https"):
        host = url.hostname or ""
        return "a program on your computer" if is_loopback(host) else domain(redirect_uri)
    return shown(f"a program on your computer ({url.scheme}:)")


def shown(text: str, limit: int = LONGEST_NAME) -> str:
    """Text of a stranger's on one short line: without characters that are unseen, or that turn what is around them."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[: 20 * LONGEST_NAME]):
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if character.isspace():
            kept.append(" ")
        elif kind[0] != "C" and marks <= MOST_MARKS:
            kept.append(character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def domain(url: str) -> str:
    """The name of a URL on the web, shortened at its beginning: its end says whose it is."""
    try:
        name = shown(urlsplit(url).netloc[-LONGEST_NAME - 1 :], LONGEST_NAME + 1)
    except ValueError:
        return ""
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"


def _is_safe(uri: str) -> bool:
    try:
        url = urlsplit(uri)
        port = url.port
    except ValueError:
        return False
    if len(uri) > LONGEST_URL or "#" in uri or "\\" in uri or url.username is not None or port == 0:
        return False
    if not uri.isprintable() or not uri.isascii():
        return False
    if url.scheme == "https":
        return bool(url.hostname)
    if url.scheme == "http":
        return is_loopback(url.hostname or "")
    return bool(_SCHEME.fullmatch(url.scheme)) and url.scheme not in _IN_BROWSERS


def _portless(uri: str) -> str | None:
    """A redirect to the computer itself without its port; None for any other."""
    url = urlsplit(uri)
    if url.scheme != "http" or not is_loopback(url.hostname or ""):
        return None
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return url._replace(netloc=host or "").geturl()
