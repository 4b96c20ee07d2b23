"""The address of the database: checked, and completed with our driver.

No refusal repeats the address, because it may contain a password.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from config.setting_types import TextReader

# What others write, hosting companies for example → the driver that we use.
SHORT_NAMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
# Driver → its module, and the extra that installs it.
DRIVERS = {
    "sqlite": ("sqlite3", ""),
    "sqlite+pysqlite": ("sqlite3", ""),
    "postgresql+psycopg": ("psycopg", "postgresql"),
    "mysql+pymysql": ("pymysql", "mariadb"),
    "mariadb+pymysql": ("pymysql", "mariadb"),
}
FORMS = (
    "sqlite:////path/to/file.db, postgresql+psycopg://user:password@host/name"
    " or mysql+pymysql://user:password@host/name"
)


# Of SQLite's driver; SQLAlchemy ignores all others.
SQLITE_OPTIONS = {"timeout", "cached_statements", "check_same_thread"}


def of_file(path: Path) -> str:
    """The address of an SQLite database, whatever characters its path has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _read(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    text = SHORT_NAMES.get(scheme, scheme) + separator + rest
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The port is no number, for example because of a / or # in the password.
        raise ValueError(
            f"must look like {FORMS}; write special characters of a password as %xx"
        ) from None
    if url.drivername not in DRIVERS:
        raise ValueError(
            f"begins with {scheme}://, which is not supported: it must look like"
            f" {FORMS}"
        )
    if "@" in (url.host or ""):
        raise ValueError("has an @ in the user or password: write it as %40")
    module, extra = DRIVERS[url.drivername]
    if find_spec(module) is None:
        raise ValueError(f"needs {module}: pip install -e '.[{extra}]'")
    _check_name(url)
    _check_pooler(url)
    return text


def _check_name(url: URL) -> None:
    name = url.database or ""
    if url.get_backend_name() == "sqlite":
        if name in ("", ":memory:") or name.startswith("file:") or url.host:
            raise ValueError(
                "must name a file by its path, because other processes read it, too:"
                " sqlite:////path/to/file.db"
            )
        if unknown := url.query.keys() - SQLITE_OPTIONS:
            raise ValueError(f"has an unknown option {min(unknown)!r}")
    # PostgreSQL's library has defaults, and variables of its own.
    elif not name and url.get_backend_name() != "postgresql":
        raise ValueError("names no database: add /name")


def _check_pooler(url: URL) -> None:
    """`?pooler=transaction` is for PostgreSQL, and its only value."""
    pooler = url.query.get("pooler", "transaction")
    if pooler != "transaction":
        raise ValueError("knows only pooler=transaction")
    if "pooler" in url.query and url.get_backend_name() != "postgresql":
        raise ValueError("may name a pooler only for PostgreSQL")


DatabaseUrl = Annotated[str, TextReader(_read)]
