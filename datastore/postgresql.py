"""The settings of our connections to PostgreSQL: how it plans and commits."""

from typing import Any

from sqlalchemy import Engine, event

from models.base import add_postgresql_conditions

# Just-in-time compilation is for queries that run for seconds. Ours run for
# milliseconds, but the planner thinks that a batch of a large conversation's devices
# costs more than `jit_above_cost`, and compiled it each time, which took as long as
# reading 1,000 devices.
#
# The default of 4 is the cost of a page on a spinning disk. With it, a badge read the
# whole table of conversations while that was small, for each device: 20 times the time.
_SETTINGS = "SET jit = off; SET random_page_cost = 1.1"
# Of statements that are prepared and always run alike. To plan one takes three times as
# long as to run it, and PostgreSQL would plan most of them anew for each run. A plan
# that was made while a table was tiny must not read the whole of it later on.
_HOT_SETTINGS = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"
# For one transaction, because a pooler may give its connection to a web worker next.
HASTY = "SET LOCAL synchronous_commit = off"


# A pooler in this mode gives each transaction another connection, so there are no
# prepared statements, and no pipelines, which many poolers cannot forward.
BY_TRANSACTION = "transaction"


def options(pooler: Any) -> dict[str, Any]:
    """The options of an engine, for a server or for a pooler in front of it."""
    if pooler not in (None, BY_TRANSACTION):
        raise ValueError(f"pooler={pooler} in the database URL is unknown")
    return {"connect_args": {"prepare_threshold": None}} if pooler else {}


def prepare(engine: Engine, *, is_hot: bool = False) -> None:
    """Apply the settings to every connection of the engine.

    `is_hot` means that it runs prepared statements, each by an index.
    """
    add_postgresql_conditions()
    settings = f"{_SETTINGS}; {_HOT_SETTINGS}" if is_hot else _SETTINGS

    def on_connect(dbapi_connection: Any, _record: Any) -> None:
        # A statement, because poolers refuse connections with options of their own.
        dbapi_connection.execute(settings)
        dbapi_connection.commit()

    event.listen(engine, "connect", on_connect)
