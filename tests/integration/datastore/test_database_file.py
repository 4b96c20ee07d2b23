"""A database file that is deleted or replaced while it is open."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from datastore import Datastore
from datastore.database_file import DatabaseReplaced
from tests.support import chats, databases

LOOK = text("SELECT count(*) FROM chat")


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def delete_and_put_back(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


CHANGES = [delete, replace, delete_and_put_back]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        chats.make_chat(store, 1)
        store.write_grouped(lambda session: None)
        yield store


def write(store: Datastore) -> None:
    with store.write():
        pass


def write_grouped(store: Datastore) -> None:
    store.write_grouped(lambda session: None)


def read(store: Datastore) -> None:
    with store.read() as session:
        session.scalar(LOOK)


def open_connection(store: Datastore) -> None:
    with store.engine.connect() as connection:
        connection.detach()
        with store.engine.connect():
            pass


@pytest.mark.parametrize("use", [write, write_grouped, read, open_connection])
@pytest.mark.parametrize("change", CHANGES)
def test_a_replaced_file_is_used_no_more(
    store: Datastore,
    tmp_path: Path,
    change: Callable[[Path], None],
    use: Callable[[Datastore], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    use(store)
    change(tmp_path / "test.db")
    before = sorted(os.listdir(tmp_path))

    for _ in range(3):
        with pytest.raises(DatabaseReplaced):
            use(store)

    assert caplog.text.count("restart the server") == 1
    # No empty database is made at the path.
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_that_has_only_moved_elsewhere_and_back_is_the_same(
    store: Datastore, tmp_path: Path
) -> None:
    path, elsewhere = tmp_path / "test.db", tmp_path / "elsewhere"
    path.rename(elsewhere)
    with pytest.raises(DatabaseReplaced):
        write(store)
    elsewhere.rename(path)

    write(store)
    read(store)


def test_a_new_store_uses_the_new_file(store: Datastore, tmp_path: Path) -> None:
    store.close()
    replace(tmp_path / "test.db")
    new = Datastore(store.url.render_as_string())

    write(new)
    read(new)
    new.close()


def test_a_store_forked_before_the_change_notices_it(
    store: Datastore, tmp_path: Path
) -> None:
    replace(tmp_path / "test.db")
    child = os.fork()
    if child == 0:
        try:
            write(store)
        except DatabaseReplaced:
            os._exit(7)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
