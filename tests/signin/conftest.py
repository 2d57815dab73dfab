from collections.abc import Iterator

import pytest
import signin_kit

from omi_mcp.sandbox import Sandbox
from tests.isolation import watched

ALWAYS = {
    "test_each_request_of_a_conversation_may_reach_another_replica[postgresql-legacy]",
    "test_a_host_registers_sends_its_person_and_gets_tokens[postgresql-none]",
    "test_a_host_that_gives_a_token_back_gives_back_the_grant[postgresql-refresh_token-none]",
    "test_a_forgotten_account_is_refused_from_the_next_request_on_and_leaves_no_file[postgresql]",
    "test_another_key_that_lists_the_same_conversations_is_the_same_account[postgresql-25-revoked-True]",
    "test_another_key_that_lists_the_same_conversations_is_the_same_account[postgresql-25-revoked, one edited-False]",
    "test_a_key_of_another_account_or_in_use_replaces_none[postgresql]",
    "test_one_statement_tells_whose_request_it_is_and_what_goes_for_it[postgresql]",
    "test_a_secret_of_ones_own_is_changed_by_putting_the_new_one_first[postgresql]",
}
"""Which are tried over PostgreSQL with every change; the others are where all is."""


@pytest.fixture
def sandbox(kept_in: str) -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever has accounts at a server has them in files, and in PostgreSQL."""
    own = [mark for mark in metafunc.definition.iter_markers("parametrize") if mark.args[0] == "kept_in"]
    if "kept_in" in metafunc.fixturenames and not own:
        metafunc.parametrize("kept_in", ["files", "postgresql"], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is not None and spec.params.get("kept_in") == "postgresql" and item.name not in ALWAYS:
            item.add_marker(pytest.mark.exhaustive)


@pytest.fixture
def kept_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "files":
        yield "files"
        return
    url = request.getfixturevalue("database_url")
    monkeypatch.setattr(signin_kit, "DATABASE", url)
    with watched(request.getfixturevalue("postgres_server"), url):
        yield "postgresql"
