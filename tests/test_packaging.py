"""What the package is published with: one version, one name, nothing that a registry or a host would refuse."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from omi_mcp import cli
from omi_mcp._version import __version__
from omi_mcp.hosts import HOSTS, Host, Launch, entries
from omi_mcp.server import build_server
from omi_mcp.settings import NAMES, Settings

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text("utf-8")
SERVER: dict[str, Any] = json.loads((PROJECT / "server.json").read_text("utf-8"))
MANIFEST: dict[str, Any] = json.loads((PROJECT / "bundle" / "manifest.json").read_text("utf-8"))
PYPROJECT: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))

EXACT_VERSION = re.compile(r"\d+\.\d+\.\d+([.+-]?[0-9A-Za-z.-]+)?")


def built(folder: Path) -> Path:
    made = subprocess.run(
        [sys.executable, PROJECT / "scripts" / "bundle.py", "--into", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(made.stdout.strip())


def test_there_is_one_version() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "omi_mcp/_version.py"
    assert SERVER["version"] == __version__
    assert [package["version"] for package in SERVER["packages"]] == [__version__]
    assert MANIFEST["version"] == __version__
    assert EXACT_VERSION.fullmatch(__version__)


def test_the_registry_entry_keeps_the_registrys_rules() -> None:
    """Schema 2025-12-11: the shape of names, the lengths of texts, the fields of a package and of its variables."""
    assert SERVER["$schema"].endswith("/2025-12-11/server.schema.json")
    assert set(SERVER) <= {"$schema", "name", "title", "description", "version", "packages", "websiteUrl", "repository"}
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 3 <= len(SERVER["name"]) <= 200
    assert 1 <= len(SERVER["title"]) <= 100
    assert 1 <= len(SERVER["description"]) <= 100
    (package,) = SERVER["packages"]
    assert package["registryType"] == "pypi"
    assert package["identifier"] == PYPROJECT["project"]["name"]
    assert package["transport"] == {"type": "stdio"}
    for variable in package["environmentVariables"]:
        assert set(variable) <= {"name", "description", "isRequired", "isSecret", "format", "default", "choices"}
        assert variable["name"] in NAMES
        assert variable.get("format", "string") in ("string", "number", "boolean", "filepath")
        assert variable.get("default", "") in (variable.get("choices") or [variable.get("default", "")])
    secret = [variable["name"] for variable in package["environmentVariables"] if variable.get("isSecret")]
    assert secret == ["OMI_API_KEY"]


def test_the_readme_and_the_image_prove_who_owns_the_entry() -> None:
    assert f"<!-- mcp-name: {SERVER['name']} -->" in README
    assert PYPROJECT["project"]["readme"] == "README.md"
    dockerfile = (PROJECT / "Dockerfile").read_text("utf-8")
    assert f'io.modelcontextprotocol.server.name="{SERVER["name"]}"' in dockerfile
    assert re.search(r"^USER (?!root)\w+$", dockerfile, re.MULTILINE)


def test_the_bundle_asks_for_the_key_as_a_secret_and_leaves_no_placeholder_unfilled() -> None:
    options = MANIFEST["user_config"]
    assert options["api_key"]["sensitive"]
    assert options["api_key"]["required"]
    launch = MANIFEST["server"]["mcp_config"]
    for name, value in launch["env"].items():
        assert name in NAMES
        option = re.fullmatch(r"\$\{user_config\.(\w+)\}", value)
        assert option
        assert options[option[1]]["required"] or "default" in options[option[1]]
    filled = {name: str(options[value[14:-1]].get("default", "")).lower() for name, value in launch["env"].items()}
    assert Settings.from_env(filled).read_only is False
    assert Settings.from_env(launch["env"]).api_key is None


@pytest.mark.anyio
async def test_the_bundle_names_the_tools_that_there_are(tmp_path: Path) -> None:
    settings = Settings(timezone=ZoneInfo("UTC"), data_dir=tmp_path)
    tools = await build_server(settings).list_tools()
    assert [tool["name"] for tool in MANIFEST["tools"]] == [tool.name for tool in tools]


def test_the_bundle_holds_what_it_starts_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, again = built(tmp_path / "1"), built(tmp_path / "2")
    assert first.name == f"omi-conversations-{__version__}.mcpb"
    assert first.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        requirements = tomllib.loads(archive.read("pyproject.toml").decode())
    assert {"manifest.json", MANIFEST["server"]["entry_point"], "LICENSE", "omi_mcp/__main__.py"} <= set(names)
    assert any(name.endswith(".jsonl") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(("/", "tests"))]
    assert requirements["project"]["dependencies"] == PYPROJECT["project"]["dependencies"]
    assert requirements["project"]["requires-python"] == PYPROJECT["project"]["requires-python"]
    assert MANIFEST["compatibility"]["runtimes"]["python"] == PYPROJECT["project"]["requires-python"]


def test_every_variable_that_the_readme_explains_is_read_and_the_other_way_round() -> None:
    explained = set(re.findall(r"^\| `(OMI_[A-Z_]+)` \|", README, re.MULTILINE))
    web = "".join((PROJECT / "docs" / page).read_text("utf-8") for page in ("hosts.md", "hosting.md"))
    assert explained <= NAMES
    assert {name for name in NAMES - explained if f"`{name}`" not in web} == set()


HOSTING = ("docs/hosting.md", "compose.yaml", "compose.replicas.yaml", "examples/hosting/omi-mcp.service")

OF_THE_DATABASE = {"OMI_DATABASE_PASSWORD", "OMI_DATABASE_ADMIN_PASSWORD"}
"""What the servers' containers are told in the URL, and the database's own."""


@pytest.mark.parametrize("name", HOSTING)
def test_what_runs_the_server_on_the_web_names_settings_and_commands_that_there_are(name: str) -> None:
    text = (PROJECT / name).read_text("utf-8")
    assert set(re.findall(r"OMI_[A-Z_]+", text)) <= NAMES | OF_THE_DATABASE
    commands = re.findall(r"^[^#`|]*bin/omi-mcp((?: [\w./:<>=@\"-]+)*)|^ *omi-mcp((?: [^#\n]+)?)", text, re.MULTILINE)
    if name.startswith("compose"):
        commands = [(" ".join(json.loads(re.findall(r"command: (\[.*\])", text)[0])), "")]
    assert commands
    for line in map("".join, commands):
        words = shlex.split(line)
        command = "serve" if not words or words[0].startswith("-") else words[0]
        assert cli.parser(command).parse_args(words if words[:1] == [command] else [command, *words])


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_each_hosts_page_shows_what_install_would_write(host: Host) -> None:
    key = "${input:omi-api-key}" if host.asks_for_key else "omi_dev_..."
    block = entries.block(host, Launch("/full/path/to/omi-mcp", (), {"OMI_API_KEY": key}))
    page = (PROJECT / "docs" / "hosts.md").read_text("utf-8")
    section = page.split(f"\n## {host.title}\n")[1].split("\n## ")[0]
    assert f"```{'toml' if host.format == 'toml' else 'json'}\n{block.rstrip()}\n```" in section


def test_nobody_is_told_to_install_another_projects_package() -> None:
    """The name `omi-mcp` of the package index is somebody else's."""
    installs = re.compile(
        r"(pip3? install|pipx (install|run)|uvx|uv tool (install|run)|uv add)\b[^\n&;|`]* omi-mcp(?![\w-])"
    )
    assert installs.search("pipx install --force omi-mcp")
    for page in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")):
        assert not installs.search(page.read_text("utf-8")), page.name
