"""The declarative base, and the column types that all tables share."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Index, Integer, MetaData, text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

# SQLite generates ids only in a column that is declared exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")


def utc_now() -> datetime:
    """The current time, aware and in UTC: the only clock of the project."""
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """A time in UTC as the API writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """The time that a database with or without zones put into JSON."""
    # Whoever of them names a zone names it by its offset, which is UTC's.
    if not text.endswith("+00:00"):
        text += "Z"
    return datetime.fromisoformat(text)


def _as_sqlite_text(value: datetime | None) -> str | None:
    """The format of SQLAlchemy, which needs five times as long."""
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = _in_utc(value)
    # Without the zone.
    return value.isoformat(" ", "microseconds")[:26]


def _from_sqlite_text(value: str | None) -> datetime | None:
    """As `_as_sqlite_text`; tools may have written the zone, too."""
    if value is None:
        return None
    return datetime.fromisoformat(value if value[-6:] == _UTC else value + _UTC)


_UTC = "+00:00"


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time without a zone must not reach the database")
    return value.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes with microseconds, on databases with and without zones."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in ("mysql", "mariadb"):
            # Imported here, because it is a megabyte that other databases do not need.
            from sqlalchemy.dialects import mysql  # noqa: PLC0415

            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def bind_processor(self, dialect: Dialect) -> Any:
        return (
            _as_sqlite_text
            if dialect.name == "sqlite"
            else super().bind_processor(dialect)
        )

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        if value is None:
            return None
        value = _in_utc(value)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name == "sqlite":
            return _from_sqlite_text
        # PostgreSQL's driver returns aware ones.
        is_aware = dialect.name == "postgresql"
        return None if is_aware else super().result_processor(dialect, coltype)

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def partial_index(name: str, condition: str, *columns: str) -> Index:
    """An index of the rows for which the condition is true.

    MariaDB has no partial indexes, so there it covers all rows.
    """
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, info={_CONDITION: where})


def where_set(name: str, column: str, *more: str) -> Index:
    """A partial index of the rows whose first column is not NULL."""
    return partial_index(name, f"{column} IS NOT NULL", column, *more)


_CONDITION = "condition"


def add_postgresql_conditions() -> None:
    """Give the partial indexes their conditions on PostgreSQL.

    Not where they are declared, because SQLAlchemy then imports the dialect, which is
    two megabytes that other databases do not need.
    """
    for table in Base.metadata.tables.values():
        for index in table.indexes:
            if (where := index.info.get(_CONDITION)) is not None:
                index.dialect_options["postgresql"]["where"] = where


class Base(DeclarativeBase):
    """Gives constraints the same names on every database, so migrations find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - read by SQLAlchemy
