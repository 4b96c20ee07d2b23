"""The setting of our connections to PostgreSQL."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.support import databases


def jit_of(session: Session) -> str:
    return session.execute(text("SHOW jit")).scalar_one()


def test_nothing_is_compiled_just_in_time(tmp_path: Path) -> None:
    with (
        databases.fresh("postgresql", tmp_path) as store,
        # Each has a connection of its own.
        store.read() as first,
        store.read() as second,
    ):
        assert [jit_of(first), jit_of(second)] == ["off", "off"]


def test_a_transaction_that_is_undone_leaves_the_setting(tmp_path: Path) -> None:
    with databases.fresh("postgresql", tmp_path) as store, store.read() as session:
        assert jit_of(session) == "off"

        session.rollback()

        assert jit_of(session) == "off"
