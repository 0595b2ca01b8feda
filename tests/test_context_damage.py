"""A damaged context is moved aside with a word, and what never was one is left alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from procwire.context.store import Store
from procwire.errors import InputDamaged, ProcwireError
from test_context_store import INSERT, insert, programs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "context.db"


def test_a_damaged_file_is_moved_aside_with_a_word(path: Path) -> None:
    said: list[str] = []
    for number in (1, 2):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no database at all" * 100)
        with Store(path, tell=said.append) as store:
            assert programs(store) == []
        kept = path.with_name(f"context.db.damaged-{number}")
        assert kept.read_bytes().startswith(b"no database")
        assert str(kept) in said[-1]
        assert "learning starts again" in said[-1]


def test_an_empty_file_is_no_context_that_knows_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    said: list[str] = []
    for _ in range(2):
        Store(path, tell=said.append).close()
    assert said == [f"{path}: empty; learning starts again without allowlist and inventory"]


DAMAGES = {
    "lacks habits.count": "DROP TABLE habits",
    "lacks observed.zone": "ALTER TABLE observed RENAME COLUMN zone TO zome",
    "'10.0.x/8' is no source": INSERT.replace("exe,", "source,").replace("?", "'10.0.x/8'"),
    "'icz' is no kind of zones": "INSERT INTO zones VALUES ('plant', 'icz')",
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_tables_that_cannot_be_ours_are_moved_aside(path: Path, problem: str) -> None:
    with Store(path) as store:
        store.rows(DAMAGES[problem])
    said: list[str] = []
    with Store(path, tell=said.append) as store:
        assert programs(store) == []
    assert problem in said[0]
    assert path.with_name("context.db.damaged-1").exists()


def test_a_text_that_no_longer_is_that_of_its_index_is_damage(path: Path) -> None:
    with Store(path) as store, store.writing() as connection:
        connection.execute("INSERT INTO zones VALUES ('plant', 'ics')")
    path.write_bytes(path.read_bytes().replace(b"plant", b"plaXt", 1))
    said: list[str] = []
    Store(path, tell=said.append).close()
    assert "kept as" in said[0]


@pytest.mark.parametrize("content", [b"root:x:0:0", b"no database at all" * 100])
def test_a_file_that_never_was_ours_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(InputDamaged, match="passwd: offset 0: no intact context"):
        Store(path)
    assert [file.name for file in tmp_path.iterdir()] == ["passwd"]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (content, 0o644)


def test_a_damaged_file_of_ours_is_moved_aside_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "plant"
    with Store(path) as store:
        insert(store, "/bin/a")
    path.write_bytes(path.read_bytes()[:2000] + bytes(3000))
    with Store(path) as store:
        assert programs(store) == []
    assert (tmp_path / "plant.damaged-1").exists()


def test_a_damaged_file_that_is_only_read_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputDamaged, match="context"):
        Store(path, read_only=True)
    assert [file.name for file in path.parent.iterdir()] == ["context.db"]


ANY_TMP = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ANY_TMP
@given(damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))))
def test_whatever_bytes_change_it_is_read_or_moved_aside(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "context.db"
    with Store(path) as store:
        for number in range(30):
            insert(store, f"/bin/{number}")
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    said: list[str] = []
    try:
        with Store(path, tell=said.append) as store:
            kept = programs(store)
            insert(store, "/bin/new")
    except ProcwireError:
        # Another owner, a newer schema, or a setting of SQLite's own in the header.
        assert damage
        return
    if said:
        assert kept == []
        assert path.with_name("context.db.damaged-1").read_bytes() == bytes(content)
    else:
        assert len(kept) == 30


@ANY_TMP
@given(size=st.integers(0, 20_000))
def test_wherever_it_is_cut_it_is_read_or_moved_aside(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "context.db"
    with Store(path) as store:
        insert(store, "/bin/a")
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    said: list[str] = []
    with Store(path, tell=said.append) as store:
        kept = programs(store)
    assert bool(said) == (size < len(whole))
    assert kept == (["/bin/a"] if size >= len(whole) else [])
