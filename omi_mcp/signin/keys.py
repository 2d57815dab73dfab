"""Whether an Omi key can be signed in with, asked of the API."""

from enum import StrEnum, auto

import httpx

from omi_mcp.api.errors import Forbidden, NotConfigured, OmiError, RateLimited, Unauthorized
from omi_mcp.api.probe import probe
from omi_mcp.clock import Clock

READING = "conversations:read"
WRITING = "conversations:write"


class KeyProblem(StrEnum):
    """Why a key cannot be signed in with."""

    MISSING = auto()
    NO_KEY = auto()
    OTHER_FAMILY = auto()
    UNKNOWN = auto()
    MAY_NOT_READ = auto()
    MAY_NOT_WRITE = auto()
    LIMITED = auto()
    UNREACHABLE = auto()


async def key_problem(
    base_url: str, key: str, *, writing: bool, clock: Clock, transport: httpx.AsyncBaseTransport | None
) -> KeyProblem | None:
    """What is wrong with a key that is to read, and to write; None when nothing is."""
    if not key:
        return KeyProblem.MISSING
    if key.startswith("omi_mcp_"):
        return KeyProblem.OTHER_FAMILY
    if len(key) > 500 or not (key.isascii() and key.isprintable() and " " not in key):
        return KeyProblem.NO_KEY
    try:
        scopes = await probe(base_url, key, clock, transport)
    except Unauthorized as error:
        return KeyProblem.OTHER_FAMILY if error.wrong_family else KeyProblem.UNKNOWN
    except Forbidden:
        return KeyProblem.MAY_NOT_READ
    except NotConfigured:
        return KeyProblem.NO_KEY
    except RateLimited:
        return KeyProblem.LIMITED
    except OmiError:
        return KeyProblem.UNREACHABLE
    if scopes is None:
        return None  # this API does not tell; a write that is not allowed will be refused with what to do
    if READING not in scopes:
        return KeyProblem.MAY_NOT_READ
    return KeyProblem.MAY_NOT_WRITE if writing and WRITING not in scopes else None
