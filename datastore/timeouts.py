"""How long we wait for a database server, and how it learns of that.

Each statement has a limit on the server, and each answer a longer one on our side,
which holds even if the server, its machine or the network is gone.
"""

from typing import Any, NamedTuple

# How long a statement may take, unless it belongs to a migration, an import or `prune`.
DEFAULT_S = 10.0
# Our side waits longer than the server's limit by this part, for the server's message.
GRACE = 0.3
CONNECT_S = 5
# A patient transaction that says nothing for so long belongs to a stopped process.
PATIENT_IDLE_S = 60.0


class Timeouts(NamedTuple):
    """The limits of one Datastore; `statement_s` is None where work may take long."""

    statement_s: float | None = DEFAULT_S

    @property
    def answer_s(self) -> float | None:
        """How long our side waits for the answer to a statement."""
        return None if self.statement_s is None else self.statement_s * (1 + GRACE)

    @property
    def idle_s(self) -> float:
        """How long a transaction may be open between two statements."""
        return PATIENT_IDLE_S if self.statement_s is None else self.statement_s

    @property
    def pool_s(self) -> float:
        """How long to wait for a free connection."""
        return self.statement_s or PATIENT_IDLE_S


USUAL = Timeouts()
PATIENT = Timeouts(None)


def milliseconds(seconds: float | None) -> int:
    """For PostgreSQL, where 0 means no limit."""
    return 0 if seconds is None else max(1, round(seconds * 1000))


def unless_given(options: dict[str, Any], query: Any) -> dict[str, Any]:
    """Options of the driver; what the URL names is left to the URL."""
    return {name: value for name, value in options.items() if name not in query}
