"""Starting the server on the web: what has to be set, and what is refused."""

import argparse
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from signin_kit import INVITE, PUBLIC

from omi_mcp.commands import serve
from omi_mcp.database import Database
from omi_mcp.settings import HttpAccess, Settings, SettingsError
from omi_mcp.signin.vault import FILE, new_secret
from omi_mcp.transports.hosted import hosted

DATABASE = "postgresql://omi:secret-word@127.0.0.1/omi"

URL = {"OMI_MCP_PUBLIC_URL": f"{PUBLIC}/"}


def opened(env: dict[str, str], data_dir: Path, host: str = "127.0.0.1") -> None:
    settings = Settings(timezone=ZoneInfo("UTC"), data_dir=data_dir)
    hosted(settings, HttpAccess.from_env(env), host, 8765).sign_in.close()


@pytest.mark.parametrize(
    ("env", "host"),
    [
        (URL | {"OMI_MCP_INVITE": INVITE}, "0.0.0.0"),
        (URL | {"OMI_MCP_OPEN": "on"}, "127.0.0.1"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_SECRET_KEY": f"{new_secret()},{new_secret()}"}, "127.0.0.1"),
        (URL | {"OMI_MCP_INVITE": INVITE, "OMI_MCP_ADDRESS_HEADER": "CF-Connecting-IP"}, "127.0.0.1"),
        ({"OMI_MCP_PUBLIC_URL": "http://127.0.0.1:8765"}, "127.0.0.1"),
        ({"OMI_MCP_PUBLIC_URL": "http://localhost:8765"}, "::1"),
    ],
)
def test_what_is_enough(tmp_path: Path, env: dict[str, str], host: str) -> None:
    opened(env, tmp_path, host)
    made = {file.name for file in tmp_path.iterdir() if not file.name.startswith("sign-in")}
    assert made == (set() if "OMI_MCP_SECRET_KEY" in env else {FILE})
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("env", "host", "said"),
    [
        (URL, "127.0.0.1", "OMI_MCP_INVITE"),
        ({"OMI_MCP_PUBLIC_URL": "http://127.0.0.1:8765"}, "0.0.0.0", "OMI_MCP_INVITE"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_INVITE": INVITE}, "127.0.0.1", "OMI_MCP_OPEN"),
        (URL | {"OMI_MCP_INVITE": "short"}, "127.0.0.1", "too short"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_HTTP_TOKEN": "x" * 30}, "127.0.0.1", "OMI_MCP_HTTP_TOKEN"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_SECRET_KEY": "a secret"}, "127.0.0.1", "32 random bytes"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_SECRET_KEY_FILE": "/nowhere"}, "127.0.0.1", "cannot be read"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_ADDRESS_HEADER": "a b"}, "127.0.0.1", "OMI_MCP_ADDRESS_HEADER"),
        ({"OMI_MCP_PUBLIC_URL": "http://omi.example.com", "OMI_MCP_OPEN": "on"}, "127.0.0.1", "https"),
        ({"OMI_MCP_PUBLIC_URL": "https://omi.example.com/mcp", "OMI_MCP_OPEN": "on"}, "127.0.0.1", "path"),
        ({"OMI_MCP_INVITE": INVITE}, "127.0.0.1", "OMI_MCP_INVITE: means nothing without OMI_MCP_PUBLIC_URL"),
        ({"OMI_MCP_DATABASE_URL": DATABASE}, "127.0.0.1", "OMI_MCP_DATABASE_URL: means nothing without"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_DATABASE_URL": DATABASE}, "127.0.0.1", "SECRET_KEY: needed beside"),
        (URL | {"OMI_MCP_OPEN": "on", "OMI_MCP_DATABASE_URL": "mysql://x"}, "127.0.0.1", "not the URL of a Postgre"),
    ],
)
def test_what_would_let_strangers_in_or_means_nothing_is_refused(
    tmp_path: Path, env: dict[str, str], host: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        opened(env, tmp_path, host)
    assert not {INVITE, "a secret"} & set(str(refused.value).split())
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_kept_out_of_the_settings_repr() -> None:
    secret = new_secret()
    access = HttpAccess.from_env(URL | {"OMI_MCP_INVITE": INVITE, "OMI_MCP_SECRET_KEY": secret})
    assert access.sign_in is not None
    assert access.sign_in.public_url == PUBLIC
    assert INVITE not in repr(access)
    assert secret not in repr(access)


@pytest.mark.parametrize("content", ["", "short\n", "A" * 43 + "=x\n"])
def test_a_damaged_secret_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(SettingsError, match="backup"):
        opened(URL | {"OMI_MCP_OPEN": "on"}, tmp_path)
    assert (tmp_path / FILE).read_text() == content


def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    Database(tmp_path / "sign-in.sqlite3", migrations=["select 1"]).close()
    with pytest.raises(SettingsError, match=r"sign-in\.sqlite3 cannot be used"):
        opened(URL | {"OMI_MCP_OPEN": "on"}, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--public-url", PUBLIC], "--public-url is for --transport http"),
        (["--invite", INVITE, "--port", "1"], "--port and --invite are for --transport http"),
        (["--transport", "http", "--demo", "--public-url", PUBLIC, "--open"], "--demo"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], said: str) -> None:
    parser = argparse.ArgumentParser()
    serve.configure(parser)
    with pytest.raises(SettingsError, match=said):
        serve.run(parser.parse_args(arguments))
