"""The settings of our connections to PostgreSQL: how it plans, commits and waits."""

from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

from datastore import timeouts
from datastore.prepared import link_to, run_plain
from datastore.timeouts import Timeouts, milliseconds
from models.base import add_postgresql_conditions

# Just-in-time compilation is for queries that run for seconds. Ours run for
# milliseconds, but the planner thinks that a batch of a large conversation's devices
# costs more than `jit_above_cost`, and compiled it each time, which took as long as
# reading 1,000 devices.
#
# The default of 4 is the cost of a page on a spinning disk. With it, a badge read the
# whole table of conversations while that was small, for each device: 20 times the time.
_SETTINGS = {"jit": "off", "random_page_cost": "1.1"}
# Of statements that are prepared and always run alike. To plan one takes three times as
# long as to run it, and PostgreSQL would plan most of them anew for each run. A plan
# that was made while a table was tiny must not read the whole of it later on.
_HOT_SETTINGS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
# For one transaction, because a pooler may give its connection to a web worker next.
HASTY = "SET LOCAL synchronous_commit = off"
# Undoes it for the rest of the transaction.
PATIENT = "SET LOCAL synchronous_commit TO DEFAULT"
_HASTY_SETTINGS = {"synchronous_commit": "off"}

# A dead machine is noticed after 10 + 3 x 3 seconds of silence, also by a connection
# that only listens. These hold for TCP alone.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}

# A pooler in this mode gives each transaction another connection, so there are no
# prepared statements, and no pipelines, which many poolers cannot forward.
BY_TRANSACTION = "transaction"


def options(url: URL, pooler: Any, limits: Timeouts) -> dict[str, Any]:
    """The options of an engine, for a server or for a pooler in front of it."""
    if pooler not in (None, BY_TRANSACTION):
        raise ValueError(f"pooler={pooler} in the database URL is unknown")
    arguments: dict[str, Any] = {
        "connect_timeout": timeouts.CONNECT_S,
        "tcp_user_timeout": milliseconds(limits.answer_s),
        **_KEEPALIVES,
    }
    arguments = timeouts.unless_given(arguments, url.query)
    if pooler:
        arguments["prepare_threshold"] = None
    return {"connect_args": arguments, "pool_timeout": limits.statement_s}


def prepare(engine: Engine, limits: Timeouts, *, is_hot: bool = False) -> None:
    """Apply the settings to every connection of the engine.

    `is_hot` means that it runs prepared statements, each by an index.
    """
    add_postgresql_conditions()
    _bound(engine, limits)
    settings = {**_SETTINGS, **_limits(limits), **(_HOT_SETTINGS if is_hot else {})}
    command = _set("SET", settings)

    def on_connect(driver: Any, _record: Any) -> None:
        # A statement, because poolers refuse connections with options of their own.
        driver.execute(command)
        driver.commit()

    event.listen(engine, "connect", on_connect)


def prepare_pooled(engine: Engine, limits: Timeouts, *, is_hasty: bool) -> None:
    """The same behind a pooler, where a setting must end with its transaction.

    The settings travel with BEGIN, so they cost no round trip.
    """
    add_postgresql_conditions()
    _bound(engine, limits)
    hasty = _HASTY_SETTINGS if is_hasty else {}
    command = "BEGIN; " + _set("SET LOCAL", {**_SETTINGS, **_limits(limits), **hasty})

    def on_connect(driver: Any, _record: Any) -> None:
        # The driver would send a BEGIN of its own otherwise.
        driver.autocommit = True

    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            run_plain(link_to(connection), command)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def prepare_bare(engine: Engine, limits: Timeouts) -> None:
    """Behind a pooler, single statements: only our own side can limit them."""
    _bound(engine, limits)


def _bound(engine: Engine, limits: Timeouts) -> None:
    # Imported here, because the driver is an extra.
    from datastore import psycopg_connection  # noqa: PLC0415

    connect = partial(psycopg_connection.connect, limits)

    def on_do_connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        return connect(*args, **options)

    event.listen(engine, "do_connect", on_do_connect)


def _limits(limits: Timeouts) -> dict[str, str]:
    return {
        "statement_timeout": str(milliseconds(limits.server_s)),
        "idle_in_transaction_session_timeout": str(milliseconds(limits.idle_s)),
    }


def _set(verb: str, settings: dict[str, str]) -> str:
    return "; ".join(f"{verb} {name} = {value}" for name, value in settings.items())
