"""What only this server can read: Omi keys in its file, and what browsers carry from one page to the next."""

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from omi_mcp.files import made_once, replace
from omi_mcp.settings import SettingsError, is_secret

FILE = "secret-key"
"""In the data folder: the secret that is made where none is set."""


log = logging.getLogger(__name__)


class Unreadable(Exception):
    """This was not encrypted with any of the secrets, was meant for something else, or is too old."""


def new_secret() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def digest(token: str) -> bytes:
    """How tokens and codes are kept, which are random and long: nobody gets them back from this."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Vault:
    """Encrypts, and recognises, with the first of several secrets; the others still read."""

    def __init__(self, secret_keys: Sequence[str], file: Path | None = None) -> None:
        """`file` is where the secrets were read, and are read again once another process has changed them."""
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._use(secret_keys)

    def _use(self, secret_keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in secret_keys])
        self._marking = [hmac.digest(base64.urlsafe_b64decode(key), b"omi-mcp marks", "sha256") for key in secret_keys]

    def _follow(self) -> None:
        """Use what is in the file now. Where that is no secret, go on with what was."""
        if self._file is None or (state := _state(self._file)) is None or state == self._seen:
            return
        self._seen = state
        try:
            self._use(_read(self._file))
        except SettingsError as error:
            log.warning("%s Until then the one before is used.", error)

    @classmethod
    def open(cls, data_dir: Path, secret_keys: Sequence[str]) -> "Vault":
        """A vault of the secrets that are set; without any, of the one in a private file, made on first use.

        Raises:
            SettingsError: that file cannot be used.
        """
        if secret_keys:
            return cls(secret_keys)
        file = data_dir / FILE
        return cls(_read(file), file)

    def seal(self, purpose: str, content: Any, now: datetime) -> str:
        """`content`, which JSON can write, as text that nobody else can read or make."""
        self._follow()
        text = json.dumps([purpose, content], ensure_ascii=False, separators=(",", ":"))
        return self._fernet.encrypt_at_time(text.encode(), int(now.timestamp())).decode()

    def open_sealed(self, purpose: str, sealed: str, now: datetime, *, life: timedelta | None = None) -> Any:
        """What was sealed for the same purpose. Raises Unreadable."""
        self._follow()
        try:
            token = sealed.encode("ascii")
            if life is None:
                text = self._fernet.decrypt(token)
            else:
                text = self._fernet.decrypt_at_time(token, int(life.total_seconds()), int(now.timestamp()))
            kind, content = json.loads(text)
        except (InvalidToken, ValueError):
            raise Unreadable from None
        if kind != purpose:
            raise Unreadable
        return content

    def marks(self, text: str) -> list[bytes]:
        """What `text` is recognised by, the newest secret's first; without the secret nobody can tell what it was."""
        self._follow()
        return [hmac.digest(marking, text.encode("utf-8", "replace"), "sha256") for marking in self._marking]

    def mark(self, text: str) -> bytes:
        return self.marks(text)[0]


class Rotation:
    """Puts a new secret in place of the one in the data folder. Between `begin` and `end` both read.

    A process that has opened its vault from the same file follows with its next use.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / FILE
        self._new = new_secret()

    def begin(self) -> Vault:
        """A vault that encrypts with the new secret. Raises SettingsError where the old one cannot be used."""
        both = [self._new, *_read(self._file)]
        replace(self._file, ("\n".join(both) + "\n").encode())
        return Vault(both)

    def end(self) -> None:
        replace(self._file, f"{self._new}\n".encode())


def _read(file: Path) -> list[str]:
    """The secrets in `file`, which is made where there is none. Raises SettingsError."""
    try:
        kept = made_once(file, new_secret()).split()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a secret"
        raise SettingsError(f"The secret in {file} cannot be used: {reason}.") from None
    if not kept or not all(is_secret(key) for key in kept):
        raise SettingsError(
            f"The secret in {file} cannot be used: not 32 bytes in base64. Put the right one back from a backup; "
            "or delete the file, and people have to sign in again, as their keys cannot be read without it."
        )
    return kept


def _state(file: Path) -> tuple[int, int, int] | None:
    """What tells one content of a file from another; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
