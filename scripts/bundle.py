"""Build the .mcpb bundle, which Claude Desktop installs by a double click, into dist/ and print its path.

It holds the package's source; the host brings Python and the dependencies through uv. The same source gives the same
bytes. Check it with `npx @anthropic-ai/mcpb validate bundle/manifest.json`.
"""

import argparse
import json
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the .mcpb bundle and print its path.")
    parser.add_argument("--into", type=Path, default=PROJECT / "dist", metavar="FOLDER")
    print(build(parser.parse_args().into))


def build(folder: Path) -> Path:
    manifest = json.loads((PROJECT / "bundle" / "manifest.json").read_text("utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{manifest['name']}-{manifest['version']}.mcpb"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in sorted(contents()):
            bundle.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return path


def contents() -> Iterator[tuple[str, bytes]]:
    """Names in the bundle, and what is in them."""
    for file in (PROJECT / "bundle").iterdir():
        if file.is_file():
            yield file.name, file.read_bytes()
    yield "LICENSE", (PROJECT / "LICENSE").read_bytes()
    yield "pyproject.toml", requirements().encode()
    for file in (PROJECT / "omi_mcp").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(PROJECT).as_posix(), file.read_bytes()


def requirements() -> str:
    """What uv has to bring: the project's own requirements, without the project as a package."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    version = json.loads((PROJECT / "bundle" / "manifest.json").read_text("utf-8"))["version"]
    # A list of strings without control characters is the same in JSON and TOML.
    return (
        f'[project]\nname = "{project["name"]}"\nversion = "{version}"\n'
        f'requires-python = "{project["requires-python"]}"\n'
        f"dependencies = {json.dumps(project['dependencies'], indent=4)}\n\n[tool.uv]\npackage = false\n"
    )


if __name__ == "__main__":
    main()
