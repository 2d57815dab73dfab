"""The drawing of docs/architecture.md, held against the code: imports run downwards only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "omi_mcp"

ROOMS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("terminal",),
    ("environment",),
    ("transports", "hosts", "importing", "exporting"),
    ("server",),
    ("tools", "resources", "prompts"),
    ("pool",),
    ("front", "context"),
    ("views", "viewer", "library", "signin", "postgres"),
    ("account",),
    ("writes",),
    ("mirror",),
    ("api",),
    ("accounts",),
    (
        *("settings", "clock", "dates", "names", "database", "replica", "sharing", "files", "tasks", "_version"),
        *("logs", "measures", "away"),
    ),
)
"""From top to bottom. A room may use its own floor and those below; the sandbox stands apart."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "_version"


def imports(file: Path) -> set[str]:
    """The modules of this package that `file` imports, anywhere in it, also for types alone."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name == "omi_mcp" or name.startswith("omi_mcp.")}


FILES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_run_downwards_only(file: Path) -> None:
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    used = {room_of(module) for module in imports(file)} - {room}
    if room == "sandbox":
        assert used == set()
        return
    assert room in FLOOR, "a new room: give it a floor here and in docs/architecture.md"
    above = {other for other in used if other != "sandbox" and FLOOR[other] < FLOOR[room]}
    assert above == set()
    assert "sandbox" not in used or room == "commands"


IN_THE_MIRROR = (
    ("search", "sync"),
    ("write_through",),
    ("store",),
    ("shared",),
    ("rows",),
    ("names", "items"),
    ("index",),
    ("types", "newest"),
)
"""The same within it; `search` and `sync` do not know each other."""


@pytest.mark.parametrize("file", sorted((PACKAGE / "mirror").rglob("*.py")), ids=lambda file: file.stem)
def test_the_mirror_is_built_in_layers(file: Path) -> None:
    floors = {part: floor for floor, parts in enumerate(IN_THE_MIRROR) for part in parts}
    part = file.relative_to(PACKAGE / "mirror").parts[0].removesuffix(".py")
    used = {module.split(".")[2] for module in imports(file) if module.startswith("omi_mcp.mirror.")} - {part}
    assert part == "__init__" or all(floors[other] > floors[part] for other in used)


def test_views_do_no_io() -> None:
    """Cards and windows know models and errors; of the mirror they know its values."""
    values = ("omi_mcp.api.models", "omi_mcp.api.errors", "omi_mcp.mirror.types", "omi_mcp.database.Away")
    for file in (PACKAGE / "views").glob("*.py"):
        lower = {
            f"{module}." for module in imports(file) if room_of(module) in ("library", "mirror", "api", "database")
        }
        assert {
            module for module in lower if not f"{module}".startswith(tuple(f"{value}." for value in values))
        } == set()


def test_every_room_is_in_the_drawing() -> None:
    drawing = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8")
    for path in PACKAGE.iterdir():
        if path.name.startswith("_") or path.suffix not in ("", ".py"):
            continue
        name = f"{path.name}/" if path.is_dir() else path.name
        assert name in drawing, name
