"""This server's own authorization server: people sign in with their Omi keys, for the hosts they allow.

Hosts discover it, register or show a document, and send their people to a page (OAuth 2.1: PKCE, resource indicators,
rotated refresh tokens). The page takes the Omi key, asks the API about it, and sends them back with a code.
"""

from omi_mcp.signin.endpoints import SHARED
from omi_mcp.signin.people import People
from omi_mcp.signin.site import SCOPES, SignIn, open_store
from omi_mcp.signin.vault import Vault

__all__ = ["SCOPES", "SHARED", "People", "SignIn", "Vault", "open_store"]
