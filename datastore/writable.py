"""Whether the database takes writes; a standby answers every read."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from datastore.outages import ReadOnly

_QUESTIONS = {
    "postgresql": "SELECT current_setting('transaction_read_only')::bool",
    "mariadb": "SELECT @@read_only OR @@tx_read_only",
    "mysql": "SELECT @@read_only",
}


def check(session: Session) -> None:
    """Raises ReadOnly if it does not; the session's connection is then dropped.

    Nothing is asked on SQLite.
    """
    connection = session.connection()
    question = _QUESTIONS.get(connection.dialect.name)
    if question is None or not connection.scalar(text(question)):
        return
    problem = ReadOnly("The database is read-only.")
    # The next connection may lead to the new primary.
    connection.invalidate(problem)
    raise problem
