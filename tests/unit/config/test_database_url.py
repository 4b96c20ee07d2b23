"""The address of the database: what is read, completed and refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

import config
from config import Settings, SettingsError

Read = Callable[..., Settings]

# Names that mean something else in a URL, or that a URL writes in another way.
ODD_NAMES = ["a?b", "a?uri=true", "a%41", "aA", "100%", "a b", "ä", "a#b", "a@b:1"]


def test_no_two_run_directories_share_a_database(tmp_path: Path) -> None:
    found = [
        make_url(
            config.from_env(
                {
                    "BOTTLEPOST_RUN_DIR": str(tmp_path / name),
                    "BOTTLEPOST_SERVICE_KEY": "k" * 16,
                }
            ).database_url
        )
        for name in ODD_NAMES
    ]

    assert [url.database for url in found] == [
        str(tmp_path / name / "bottlepost.db") for name in ODD_NAMES
    ]
    assert all(url.query == {} for url in found)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("postgres://u:p@db/x", "postgresql+psycopg://u:p@db/x"),
        (
            "postgresql://db/x?sslmode=require",
            "postgresql+psycopg://db/x?sslmode=require",
        ),
        ("mysql://u@db/x", "mysql+pymysql://u@db/x"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        (
            "postgresql+psycopg:///x?host=/run/pg",
            "postgresql+psycopg:///x?host=/run/pg",
        ),
        ("postgresql+psycopg://u:a%40b@db/x", "postgresql+psycopg://u:a%40b@db/x"),
    ],
)
def test_the_driver_is_ours(read: Read, written: str, read_as: str) -> None:
    assert read(DATABASE_URL=written).database_url == read_as


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("nonsense", "must look like sqlite:"),
        ("oracle://db/x", "begins with oracle://"),
        ("postgresql+asyncpg://db/x", "begins with postgresql+asyncpg://"),
        ("postgresql+psycopg2://db/x", "begins with postgresql+psycopg2://"),
        ("postgresql://me:SeC@ReT@db/x", "write it as %40"),
        ("postgresql://me:SeCReT@db:SeCReT/x", "must look like sqlite:"),
        ("postgresql://me:SeC[ReT@db/x?pooler=x", "knows only pooler=transaction"),
        ("mysql://me:SeCReT@db", "names no database"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:x.db?uri=true", "must name a file"),
        ("sqlite://x.db", "must name a file"),
        ("sqlite:////x.db?colour=ReT", "has an unknown option 'colour'"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_shows_no_password(
    read: Read, written: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(DATABASE_URL=written)

    assert str(caught.value).startswith("BOTTLEPOST_DATABASE_URL ")
    assert problem in str(caught.value)
    assert "SeC" not in str(caught.value)
    assert "ReT" not in str(caught.value)
    assert caught.value.__cause__ is None
