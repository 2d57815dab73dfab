import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from omi_mcp import database
from omi_mcp.database import Damaged, Database, FileWarning

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "mirror.sqlite3"


@pytest.fixture
def opened(path: Path) -> Iterator[Database]:
    with closing(Database(path)) as opened:
        yield opened


def create_notes(connection: sqlite3.Connection) -> None:
    connection.execute("create table if not exists notes(text)")


def add(opened: Database, text: str) -> None:
    with opened.writing() as connection:
        connection.execute("insert into notes values (?)", (text,))


def notes(opened: Database) -> list[str]:
    with opened.reading() as connection:
        return [row["text"] for row in connection.execute("select text from notes order by rowid")]


def aside(path: Path) -> list[str]:
    return [file.name for file in database.files(path) if ".corrupt-" in file.name]


def damage(path: Path) -> None:
    """Overwrite what the database has stored, log included, under those who have it open."""
    for file in database.files(path):
        if not file.name.endswith("-shm"):
            with file.open("r+b") as opened:
                opened.write(b"\xff" * file.stat().st_size)


@posix
def test_only_the_owner_can_read_the_folder_and_every_file_in_it(opened: Database, path: Path) -> None:
    opened.prepare(create_notes)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {file.name for file in database.files(path)} == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in database.files(path)} == {0o600}


@posix
def test_a_file_that_others_could_read_is_tightened(path: Path) -> None:
    Database(path).close()
    path.chmod(0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_exception_rolls_everything_back(opened: Database) -> None:
    def fail() -> None:
        with opened.writing() as connection:
            connection.execute("insert into notes values ('half')")
            raise ZeroDivisionError

    opened.prepare(create_notes)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert notes(opened) == []


def test_a_reader_keeps_its_snapshot_while_another_writes(opened: Database) -> None:
    opened.prepare(create_notes)
    add(opened, "first")
    with opened.reading() as connection:
        before = connection.execute("select count(*) from notes").fetchone()[0]
        add(opened, "second")
        assert connection.execute("select count(*) from notes").fetchone()[0] == before == 1
    assert notes(opened) == ["first", "second"]


def test_all_that_a_thread_reads_in_a_snapshot_is_of_one_moment(opened: Database) -> None:
    opened.prepare(create_notes)
    with opened.snapshot(), opened.snapshot():
        assert notes(opened) == []
        writer = threading.Thread(target=add, args=(opened, "another"))
        writer.start()
        writer.join()
        assert notes(opened) == []
    assert notes(opened) == ["another"]


def test_threads_and_processes_write_at_once_and_none_is_told_that_the_file_is_locked(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from omi_mcp.database import Database\n"
        "opened = Database(Path(sys.argv[1]))\n"
        "opened.prepare(lambda c: c.execute('create table if not exists notes(text)'))\n"
        "for n in range(100):\n"
        "    with opened.writing() as c: c.execute('insert into notes values (?)', (str(n),))\n"
        "opened.close()\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(3)]
    with closing(Database(path)) as opened:
        opened.prepare(create_notes)
        workers = [threading.Thread(target=lambda: [add(opened, str(n)) for n in range(100)]) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [other.wait(60) for other in others] == [0, 0, 0]
        assert len(notes(opened)) == 600


@pytest.mark.parametrize("content", [b"not a database at all, but a letter", b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_moved_aside_with_a_warning(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with closing(Database(path)) as opened:
        opened.prepare(create_notes)
        assert notes(opened) == []
        (name,) = aside(path)
        assert opened.warning == FileWarning("mirror", "replaced", name)
        assert path.with_name(name).read_bytes() == content


def test_the_database_of_another_program_is_moved_aside_unharmed(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("create table theirs(text)")
    with closing(Database(path)) as opened:
        assert opened.warning is not None
    (name,) = aside(path)
    with closing(sqlite3.connect(path.with_name(name))) as other:
        assert other.execute("select count(*) from theirs").fetchone() == (0,)


def test_damage_met_while_running_is_moved_aside_and_the_call_succeeds_in_a_new_file(path: Path) -> None:
    async def scenario(opened: Database) -> None:
        assert await database.run(notes, opened) == []
        await database.run(add, opened, "after")
        assert await database.run(notes, opened) == ["after"]

    with closing(Database(path)) as before:
        before.prepare(create_notes)
        for n in range(1000):
            add(before, f"note {n}")
    with closing(Database(path)) as opened:
        opened.prepare(create_notes)
        damage(path)
        anyio.run(scenario, opened)
        assert opened.warning is not None
        assert len(aside(path)) == 1


def test_a_second_holder_of_a_damaged_file_follows_the_first_to_the_new_one(path: Path) -> None:
    with closing(Database(path)) as first, closing(Database(path)) as second:
        first.prepare(create_notes)
        second.prepare(create_notes)
        for n in range(100):
            add(first, f"note {n}")
        damage(path)
        with pytest.raises(Damaged):
            notes(first)
        add(first, "new")
        assert notes(second) == ["new"]
        assert second.warning is None
        assert len({name.split("-")[1] for name in aside(path)}) == 1, "it is moved aside once"


@posix
def test_a_file_removed_under_a_running_process_is_begun_anew(opened: Database, path: Path) -> None:
    opened.prepare(create_notes)
    add(opened, "old")
    for file in database.files(path):
        file.unlink()
    assert notes(opened) == []
    add(opened, "new")
    assert notes(opened) == ["new"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_older_file_is_migrated_and_keeps_its_rows(path: Path) -> None:
    with closing(Database(path)) as opened:
        opened.prepare(create_notes)
        add(opened, "kept")
    migrations = ("alter table notes add column day text", "update notes set day = 'monday'; create table extra(x)")
    for _ in range(2):
        with closing(Database(path, migrations=migrations)) as opened:
            with opened.reading() as connection:
                assert [tuple(row) for row in connection.execute("select * from notes")] == [("kept", "monday")]
                assert connection.execute("pragma user_version").fetchone()[0] == 3
            assert opened.warning is None


def test_a_file_of_a_later_release_is_left_alone(path: Path) -> None:
    with closing(Database(path, migrations=("create table later(x)",))):
        pass
    with closing(Database(path)) as opened:
        opened.prepare(create_notes)
        add(opened, "in memory")
        assert opened.path is None
        assert opened.warning == FileWarning("mirror", "newer")
    with closing(Database(path, migrations=("create table later(x)",))) as later:
        assert later.warning is None


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_leaves_memory(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with closing(Database(tmp_path / "inner" / "mirror.sqlite3")) as opened:
            opened.prepare(create_notes)
            assert opened.path is None
            assert opened.warning is not None
    finally:
        tmp_path.chmod(0o700)


def test_a_path_that_is_taken_by_a_folder_leaves_memory(tmp_path: Path) -> None:
    with closing(Database(tmp_path)) as opened:
        opened.prepare(create_notes)
        add(opened, "in memory")
        assert notes(opened) == ["in memory"]
        assert opened.warning is not None


def test_in_memory_all_threads_share_one_database() -> None:
    async def scenario(opened: Database) -> None:
        await database.run(opened.prepare, create_notes)
        await database.run(add, opened, "shared")
        assert await database.run(notes, opened) == ["shared"]

    with closing(Database(None)) as opened:
        anyio.run(scenario, opened)
