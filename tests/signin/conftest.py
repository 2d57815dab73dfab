from collections.abc import Iterator

import pytest
import signin_kit

from omi_mcp.sandbox import Sandbox

ALWAYS = {
    "test_a_host_registers_sends_its_person_and_gets_tokens[postgresql-none]",
}
"""Which are tried over PostgreSQL with every change; the others are where all is."""


@pytest.fixture
def sandbox(kept_in: str) -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever has accounts at a server has them in files, and in PostgreSQL."""
    if "kept_in" in metafunc.fixturenames:
        metafunc.parametrize("kept_in", ["files", "postgresql"], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is not None and spec.params.get("kept_in") == "postgresql" and item.name not in ALWAYS:
            item.add_marker(pytest.mark.exhaustive)


@pytest.fixture
def kept_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "postgresql":
        monkeypatch.setattr(signin_kit, "DATABASE", request.getfixturevalue("database_url"))
    return str(request.param)
