"""Every setting, read once from the environment. A wrong value is refused by name, with what is accepted."""

import base64
import codecs
import difflib
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import tzlocal
from platformdirs import user_data_path

Mirror = Literal["disk", "memory"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["text", "json"]
Profile = Literal["full", "search-fetch"]
Viewer = Literal["auto", "on", "off"]
"""`auto`: for hosts that say they render MCP Apps; `on`: for every host."""

LONGEST_NAME = 80

DEFAULT_BASE_URL = "https://api.omi.me"

ANYONE = "*"
"""As the subject of OAuth: every user of the issuer."""

Choice = TypeVar("Choice", bound=str)

MIN_INVITE = 8
"""Characters of an invitation: attempts are limited, so that these are beyond guessing."""

DRAIN_SECONDS = 5.0
"""How long one of several servers takes requests after it was told to stop."""

MOST_DRAIN_SECONDS = 300

NO_DATABASE_URL = (
    "OMI_MCP_DATABASE_URL: not the URL of a PostgreSQL database. Accepted: "
    "postgresql://user:password@host:5432/database, with special characters in the password as %40 and the like."
)

COPIES_MB = 10_000
"""An account of 200 conversations takes about two megabytes."""

_HEADER = re.compile(r"[A-Za-z0-9-]+")

_SCOPE = re.compile(r"[!#-\[\]-~]+")
"""RFC 6749, 3.3: `scope-token`."""

NAMES = frozenset(
    {
        "OMI_API_BASE_URL",
        "OMI_API_KEY",
        "OMI_API_KEY_FILE",
        "OMI_MCP_ADDRESS_HEADER",
        "OMI_MCP_ALLOW_DELETE",
        "OMI_MCP_DATABASE_URL",
        "OMI_MCP_COPIES_MB",
        "OMI_MCP_DATA_DIR",
        "OMI_MCP_DRAIN_SECONDS",
        "OMI_MCP_HTTP_HOSTS",
        "OMI_MCP_HTTP_TOKEN",
        "OMI_MCP_INVITE",
        "OMI_MCP_LOG_FORMAT",
        "OMI_MCP_LOG_LEVEL",
        "OMI_MCP_METRICS",
        "OMI_MCP_MIRROR",
        "OMI_MCP_OAUTH_AUDIENCE",
        "OMI_MCP_OAUTH_ISSUER",
        "OMI_MCP_OAUTH_READ_SCOPE",
        "OMI_MCP_OAUTH_SCOPE",
        "OMI_MCP_OAUTH_SUBJECT",
        "OMI_MCP_OMI_SEARCH",
        "OMI_MCP_OPEN",
        "OMI_MCP_PUBLIC_URL",
        "OMI_MCP_READ_ONLY",
        "OMI_MCP_SECRET_KEY",
        "OMI_MCP_SECRET_KEY_FILE",
        "OMI_MCP_STRUCTURED",
        "OMI_MCP_TIMEZONE",
        "OMI_MCP_USER_NAME",
        "OMI_MCP_VIEWER",
    }
)
"""Every setting there is."""

OWN_PREFIX = "OMI_MCP_"
"""What only this server's settings begin with; other programs for Omi have variables of their own."""

CLOSE = 0.8
"""How alike two names must be, from 0 to 1, for one to be a misspelling of the other."""

_AROUND_KEY = re.compile(r"""^[\s\ufeff\u200b"'`\u2018-\u201f]+|[\s\ufeff\u200b"'`\u2018-\u201f;]+$""")
_BEFORE_KEY = re.compile(r"^(?:export\s+)?(?:OMI_API_KEY\s*[=:]\s*)?[\"']?(?:Bearer\s+)?")

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class SettingsError(Exception):
    """A setting has a value that cannot be used. `str()` names the variable and what is accepted."""


@dataclass(frozen=True)
class Settings:
    """How this server runs. `api_key` is kept out of `repr()`."""

    timezone: ZoneInfo
    data_dir: Path
    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    read_only: bool = False
    allow_delete: bool = False
    mirror: Mirror = "disk"
    omi_search: bool = True
    """Whether a search that finds little here may be sent to Omi's own."""
    structured: bool = True
    log_level: LogLevel = "WARNING"
    log_format: LogFormat = "text"
    demo: bool = False
    profile: Profile = "full"
    viewer: Viewer = "auto"
    user_name: str | None = None
    """What the person is called in transcripts, where they say so; else it is judged from the conversations."""
    account_id: str | None = None
    """The account's own, where it signed in: letters, digits, - and _. It stays when the key is replaced."""

    @property
    def account(self) -> str:
        """Names this account's files: its id, else a hash of base URL and key, so neither is read from a file name."""
        return self.account_id or hashlib.sha256(f"{self.base_url}\0{self.api_key or ''}".encode()).hexdigest()[:16]

    @property
    def mirror_file(self) -> Path:
        """Where this account's mirror lies when it is kept on disk."""
        return self.data_dir / f"mirror-{self.account}.sqlite3"

    @property
    def account_file(self) -> Path:
        """Where that is kept of this account which cannot be copied again, whatever becomes of the mirror."""
        return self.data_dir / f"account-{self.account}.sqlite3"

    @property
    def replica_file(self) -> Path:
        """Where this machine's copy lies of an account that several machines serve."""
        return self.data_dir / f"replica-{self.account}.sqlite3"

    @property
    def account_path(self) -> Path | None:
        """That file, or None for the sample library, of which nothing is kept."""
        return None if self.demo else self.account_file

    @property
    def mirror_path(self) -> Path | None:
        """The mirror's SQLite file, or None when nothing is kept on disk."""
        return self.mirror_file if self.mirror == "disk" else None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings from `env`. Empty values and placeholders a host left unfilled (`${...}`) count as unset.

        Raises:
            SettingsError: a variable has a value that cannot be used.
        """
        given = _given(env)
        return cls(
            api_key=_api_key(given),
            base_url=given.get("OMI_API_BASE_URL", DEFAULT_BASE_URL).rstrip("/"),
            data_dir=_data_dir(given),
            timezone=_timezone(given),
            read_only=_switch(given, "OMI_MCP_READ_ONLY", default=False),
            allow_delete=_switch(given, "OMI_MCP_ALLOW_DELETE", default=False),
            mirror=_mirror(given),
            omi_search=_switch(given, "OMI_MCP_OMI_SEARCH", default=True),
            structured=_switch(given, "OMI_MCP_STRUCTURED", default=True),
            user_name=" ".join(given.get("OMI_MCP_USER_NAME", "").split())[:LONGEST_NAME] or None,
            viewer=_choice(given, "OMI_MCP_VIEWER", get_args(Viewer), default="auto"),
            log_level=_choice(given, "OMI_MCP_LOG_LEVEL", get_args(LogLevel), default="WARNING"),
            log_format=_choice(given, "OMI_MCP_LOG_FORMAT", get_args(LogFormat), default="text"),
        )


@dataclass(frozen=True)
class OAuth:
    """Whose access tokens are accepted over HTTP: those of `issuer` for `audience`, the URL that hosts connect to."""

    issuer: str
    audience: str
    subjects: frozenset[str]
    """The users (`sub`) who are let in; `ANYONE` among them lets in every user of the issuer."""
    scope: str | None = None
    """What a token must have; beside `read_scope`, what it must have to write."""
    read_scope: str | None = None
    """What a token must have to read."""


@dataclass(frozen=True)
class SignInSettings:
    """How people sign in to this server with their own Omi keys. The invitation and the secrets are not in `repr()`."""

    public_url: str
    """Where hosts and browsers reach this server, without a path or a slash at the end."""
    invite: str | None = field(default=None, repr=False)
    """What a person has to know to sign in."""
    open: bool = False
    """Whether everyone who has an Omi key is meant to be let in; at loopback addresses everyone there is."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What keys are encrypted with: the first is used, the others still read. Without any, one is made and kept."""
    address_header: str | None = None
    """Where the proxy in front writes the address of who asks."""
    database_url: str | None = field(default=None, repr=False)
    """The PostgreSQL database that several machines share, with its password; None: all is kept in the data folder."""
    copies_mb: int = COPIES_MB
    """What the copies of accounts may take in the data folder beside such a database, in megabytes."""
    metrics: tuple[str, int] | None = None
    """The address where metrics are read."""
    drain_seconds: float = 0.0
    """How long requests are still taken after the server was told to stop: a proxy needs as long to notice."""


@dataclass(frozen=True)
class HttpAccess:
    """Who may connect over HTTP. `token` is kept out of `repr()`; `hosts` are names this server is also called by."""

    token: str | None = field(default=None, repr=False)
    oauth: OAuth | None = None
    hosts: tuple[str, ...] = ()
    sign_in: SignInSettings | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "HttpAccess":
        """Read the settings of the HTTP transport from `env`, as `Settings.from_env` does.

        Raises:
            SettingsError: a variable has a value that cannot be used, or one is missing beside another.
        """
        given = _given(env)
        token = given.get("OMI_MCP_HTTP_TOKEN")
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise SettingsError("OMI_MCP_HTTP_TOKEN: accepted are visible ASCII characters without spaces.")
        oauth = _oauth(given)
        if token is not None and oauth is not None:
            raise SettingsError(
                "OMI_MCP_HTTP_TOKEN: means nothing beside OMI_MCP_OAUTH_ISSUER, whose tokens are accepted instead. "
                "Unset one of them."
            )
        sign_in = _sign_in(given)
        if sign_in is not None and (token is not None or oauth is not None):
            other = "OMI_MCP_OAUTH_ISSUER" if token is None else "OMI_MCP_HTTP_TOKEN"
            raise SettingsError(
                f"{other}: means nothing beside OMI_MCP_PUBLIC_URL, where people sign in with their Omi keys instead. "
                "Unset one of them."
            )
        return cls(token=token, oauth=oauth, hosts=_listed(given, "OMI_MCP_HTTP_HOSTS"), sign_in=sign_in)


def is_set(env: Mapping[str, str], name: str) -> bool:
    """Whether `env` has a value for `name`, other than an empty one or a placeholder that a host left unfilled."""
    return name in _given(env)


def unknown_settings(env: Iterable[str]) -> dict[str, str | None]:
    """The names in `env` that look like settings and are none, each with the setting that seems to be meant."""
    suspects = [name for name in env if name not in NAMES and name.upper().startswith("OMI_")]
    if not suspects:
        return {}
    found: dict[str, str | None] = {}
    for name in suspects:
        meant = next(iter(difflib.get_close_matches(name.upper(), sorted(NAMES), n=1, cutoff=CLOSE)), None)
        if meant or name.upper().startswith(OWN_PREFIX):
            found[name] = meant
    return found


def bare_key(text: str) -> str:
    """A key without what is copied along with it: blanks, a byte order mark, quotes, `OMI_API_KEY=` or `Bearer`."""
    text = _AROUND_KEY.sub("", text)
    return _AROUND_KEY.sub("", _BEFORE_KEY.sub("", text))


def read_key(file: Path) -> str:
    """The key in `file`. Raises OSError, or ValueError when the file is not text."""
    content = file.read_bytes()
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # what Windows' shell writes
    return bare_key(content.decode("utf-16" if utf16 else "utf-8"))


def is_secure(scheme: str, host: str | None) -> bool:
    """Whether a URL may carry secrets: https, or http that does not leave this computer."""
    return scheme == "https" or (scheme == "http" and is_loopback(host or ""))


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this computer seen from itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


def _given(env: Mapping[str, str]) -> dict[str, str]:
    """What is really set: neither empty nor a placeholder that a host left unfilled."""
    stripped = {name: _unquoted(value.strip()) for name, value in env.items()}
    return {name: value for name, value in stripped.items() if value and not value.startswith("${")}


def _listed(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The values of a variable that holds several, with commas between."""
    return tuple(value.strip() for value in env.get(name, "").split(",") if value.strip())


def _unquoted(value: str) -> str:
    """Docker's env files and some hosts' forms keep the quotes around a value."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if quoted else value


def _sign_in(env: Mapping[str, str]) -> SignInSettings | None:
    if "OMI_MCP_PUBLIC_URL" not in env:
        for name in (
            *("INVITE", "OPEN", "ADDRESS_HEADER"),
            *("DATABASE_URL", "COPIES_MB", "METRICS", "DRAIN_SECONDS"),
        ):
            if f"OMI_MCP_{name}" in env:
                raise SettingsError(f"OMI_MCP_{name}: means nothing without OMI_MCP_PUBLIC_URL.")
        return None
    url = _secure_url(env, "OMI_MCP_PUBLIC_URL").rstrip("/")
    if urlsplit(url).path:
        raise SettingsError(
            "OMI_MCP_PUBLIC_URL: has a path. Accepted: an address without one, such as https://omi.example.com; "
            "hosts connect to /mcp below it."
        )
    invite, anyone = env.get("OMI_MCP_INVITE"), _switch(env, "OMI_MCP_OPEN", default=False)
    if invite is not None and anyone:
        raise SettingsError("OMI_MCP_OPEN: means nothing beside OMI_MCP_INVITE. Unset one of them.")
    if invite is not None and len(invite) < MIN_INVITE:
        raise SettingsError(f"OMI_MCP_INVITE: too short. Accepted: {MIN_INVITE} characters and more.")
    if not (invite or anyone or is_loopback(urlsplit(url).hostname or "")):
        raise SettingsError(
            "OMI_MCP_PUBLIC_URL: others can reach this address. Set OMI_MCP_INVITE to a code that people must know to "
            "sign in, or OMI_MCP_OPEN=on (--open) to let in everyone who has an Omi key."
        )
    header = env.get("OMI_MCP_ADDRESS_HEADER")
    if header is not None and not _HEADER.fullmatch(header):
        raise SettingsError(
            "OMI_MCP_ADDRESS_HEADER: not the name of a header. Accepted: the one in which your proxy writes the "
            "address of who asks, such as X-Forwarded-For or CF-Connecting-IP."
        )
    secrets, database = secret_keys(env), database_url(env)
    if database is not None and not secrets:
        raise SettingsError(
            "OMI_MCP_SECRET_KEY: needed beside OMI_MCP_DATABASE_URL, as all machines that share the database have to "
            "read the same keys. Set it, or OMI_MCP_SECRET_KEY_FILE, to the same on each; "
            "`openssl rand -base64 32 | tr +/ -_` makes one."
        )
    return SignInSettings(
        public_url=url,
        invite=invite,
        open=anyone,
        secrets=secrets,
        address_header=header,
        database_url=database,
        copies_mb=_copies_mb(env, database),
        metrics=_metrics(env),
        drain_seconds=_drain(env, default=0.0 if database is None else DRAIN_SECONDS),
    )


def _copies_mb(env: Mapping[str, str], database: str | None) -> int:
    given = env.get("OMI_MCP_COPIES_MB")
    if given is None:
        return COPIES_MB
    if database is None:
        raise SettingsError("OMI_MCP_COPIES_MB: means nothing without OMI_MCP_DATABASE_URL.")
    if not given.isascii() or not given.isdigit() or not 0 < int(given) < 10**9:
        raise SettingsError("OMI_MCP_COPIES_MB: not a number of megabytes. Accepted: 1 and more, such as 10000.")
    return int(given)


def _metrics(env: Mapping[str, str]) -> tuple[str, int] | None:
    given = env.get("OMI_MCP_METRICS")
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise SettingsError(
            "OMI_MCP_METRICS: no address. Accepted: a port of this computer alone, such as 9464; or, where others are "
            "to read it and a firewall or a network of its own keeps strangers out, 0.0.0.0:9464."
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def _drain(env: Mapping[str, str], *, default: float) -> float:
    given = env.get("OMI_MCP_DRAIN_SECONDS")
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and int(given) <= MOST_DRAIN_SECONDS):
        raise SettingsError(f"OMI_MCP_DRAIN_SECONDS: accepted are 0 to {MOST_DRAIN_SECONDS}.")
    return float(given)


def database_url(env: Mapping[str, str]) -> str | None:
    """Where the PostgreSQL database is that several machines share, as it was set: there is a password in it.

    Raises:
        SettingsError: it is no such URL.
    """
    url = _given(env).get("OMI_MCP_DATABASE_URL")
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(NO_DATABASE_URL)
    return url


def secret_keys(env: Mapping[str, str]) -> tuple[str, ...]:
    """What the keys of those who signed in are encrypted with, the newest first; empty where none is set.

    Raises:
        SettingsError: what is set is no secret, or cannot be read.
    """
    env = _given(env)
    if "OMI_MCP_SECRET_KEY" in env:
        name, text = "OMI_MCP_SECRET_KEY", env["OMI_MCP_SECRET_KEY"]
    elif "OMI_MCP_SECRET_KEY_FILE" in env:
        name, file = "OMI_MCP_SECRET_KEY_FILE", _path(env, "OMI_MCP_SECRET_KEY_FILE")
        try:
            text = file.read_text("utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsError(f"{name}: {file} cannot be read ({reason}).") from None
    else:
        return ()
    secrets = tuple(re.split(r"[\s,]+", text.strip(" \t\r\n,")))
    if not all(is_secret(secret) for secret in secrets):
        raise SettingsError(
            f"{name}: not a secret. Accepted: 32 random bytes in URL-safe base64 (44 characters), several with commas "
            "or line breaks between; `openssl rand -base64 32 | tr +/ -_` makes one."
        )
    return secrets


def is_secret(text: str) -> bool:
    """Whether `text` is 32 bytes in URL-safe base64."""
    try:
        return len(text) == 44 and len(base64.b64decode(text, altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


def _oauth(env: Mapping[str, str]) -> OAuth | None:
    if "OMI_MCP_OAUTH_ISSUER" not in env:
        for name in ("AUDIENCE", "SUBJECT", "SCOPE", "READ_SCOPE"):
            if f"OMI_MCP_OAUTH_{name}" in env:
                raise SettingsError(f"OMI_MCP_OAUTH_{name}: means nothing without OMI_MCP_OAUTH_ISSUER.")
        return None
    if "OMI_MCP_OAUTH_AUDIENCE" not in env:
        raise SettingsError(
            "OMI_MCP_OAUTH_AUDIENCE: needed beside OMI_MCP_OAUTH_ISSUER. It is the URL that hosts connect to, "
            "such as https://omi.example.com/mcp, and what the issuer writes into a token's aud."
        )
    scope, read_scope = _scope(env, "OMI_MCP_OAUTH_SCOPE"), _scope(env, "OMI_MCP_OAUTH_READ_SCOPE")
    if read_scope is not None and scope in (None, read_scope):
        raise SettingsError(
            "OMI_MCP_OAUTH_READ_SCOPE: needs another scope beside it, OMI_MCP_OAUTH_SCOPE, which may also write."
        )
    return OAuth(
        issuer=_secure_url(env, "OMI_MCP_OAUTH_ISSUER"),
        audience=_secure_url(env, "OMI_MCP_OAUTH_AUDIENCE"),
        subjects=_subjects(env),
        scope=scope,
        read_scope=read_scope,
    )


def _subjects(env: Mapping[str, str]) -> frozenset[str]:
    subjects = frozenset(_listed(env, "OMI_MCP_OAUTH_SUBJECT"))
    if not subjects or (ANYONE in subjects and len(subjects) > 1):
        raise SettingsError(
            "OMI_MCP_OAUTH_SUBJECT: needed beside OMI_MCP_OAUTH_ISSUER, because whoever gets in reads your "
            "conversations. Accepted: the users (sub) who may, with commas between, or * alone for every user of the "
            "issuer."
        )
    return subjects


def _scope(env: Mapping[str, str], name: str) -> str | None:
    scope = env.get(name)
    if scope is not None and not _SCOPE.fullmatch(scope):
        raise SettingsError(f"{name}: not one scope. Accepted are visible ASCII characters without spaces or quotes.")
    return scope


def _secure_url(env: Mapping[str, str], name: str) -> str:
    try:
        url = urlsplit(env[name])
        plain = bool(url.hostname) and not (url.username or url.password or url.query or url.fragment)
        secure = is_secure(url.scheme, url.hostname)
    except ValueError:
        plain = secure = False
    if not (plain and secure):
        raise SettingsError(
            f"{name}: not a plain https:// URL. It has no user name, query or fragment; http:// is accepted for this "
            "computer only."
        )
    return env[name]


def _api_key(env: Mapping[str, str]) -> str | None:
    if key := env.get("OMI_API_KEY"):
        return bare_key(key) or None
    if "OMI_API_KEY_FILE" not in env:
        return None
    if bare_key(env["OMI_API_KEY_FILE"]).startswith(("omi_dev_", "omi_mcp_")):
        raise SettingsError("OMI_API_KEY_FILE: this is a key and no file's name; a key goes into OMI_API_KEY.")
    file = _path(env, "OMI_API_KEY_FILE")
    try:
        key = read_key(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"OMI_API_KEY_FILE: {file} cannot be read ({reason}).") from None
    if not key:
        raise SettingsError(f"OMI_API_KEY_FILE: {file} is empty.")
    return key


def _data_dir(env: Mapping[str, str]) -> Path:
    if "OMI_MCP_DATA_DIR" in env:
        return _path(env, "OMI_MCP_DATA_DIR")
    return user_data_path("omi-mcp", appauthor=False)


def _path(env: Mapping[str, str], name: str) -> Path:
    try:
        return Path(env[name]).expanduser()
    except RuntimeError:
        raise SettingsError(f"{name}: there is no such home folder; write the path in full, without ~.") from None


def _timezone(env: Mapping[str, str]) -> ZoneInfo:
    if name := env.get("OMI_MCP_TIMEZONE"):
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise SettingsError(
                "OMI_MCP_TIMEZONE: not a known timezone. Accepted: IANA names such as Europe/Berlin, "
                "America/New_York or UTC; unset means this computer's own timezone."
            ) from None
    try:
        return ZoneInfo(tzlocal.get_localzone_name())
    except (OSError, ValueError, KeyError, LookupError):
        return ZoneInfo("UTC")


def _switch(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = env.get(name)
    if value is None:
        return default
    if value.lower() not in _SWITCH:
        raise SettingsError(f"{name}: not a switch. Accepted: on, off (or 1/0, true/false, yes/no).")
    return _SWITCH[value.lower()]


def _mirror(env: Mapping[str, str]) -> Mirror:
    if env.get("OMI_MCP_MIRROR", "").lower() == "off":
        raise SettingsError(
            "OMI_MCP_MIRROR: off was removed. Use memory instead: nothing is kept on disk either, and transcripts are "
            "searched too. Accepted: disk, memory."
        )
    return _choice(env, "OMI_MCP_MIRROR", get_args(Mirror), default="disk")


def _choice(env: Mapping[str, str], name: str, accepted: tuple[Choice, ...], *, default: Choice) -> Choice:
    value = env.get(name, default)
    for choice in accepted:
        if value.lower() == choice.lower():
            return choice
    raise SettingsError(f"{name}: not one of the accepted values: {', '.join(accepted)}.")
