"""The setting of our connections to PostgreSQL."""

from typing import Any

from sqlalchemy import Engine, event


def prepare(engine: Engine) -> None:
    """Turn just-in-time compilation off on every connection of the engine.

    Its gain is for queries that run for seconds. Ours run for milliseconds, but in a
    large town the planner thinks that a batch of a large conversation costs more than
    `jit_above_cost`: compiling it took as long as reading 1,000 devices, every time.
    """
    event.listen(engine, "connect", _on_connect)


def _on_connect(dbapi_connection: Any, _record: Any) -> None:
    # A statement, because poolers refuse connections with options of their own.
    dbapi_connection.execute("SET jit = off")
    dbapi_connection.commit()
