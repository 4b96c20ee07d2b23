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
# If a patient transaction is idle for this time, its process has been stopped.
PATIENT_IDLE_S = 60.0


class Timeouts(NamedTuple):
    """The limits of one Datastore; with `is_patient` a statement may take long.

    Then our side only checks, by another connection, that the server still answers.
    """

    statement_s: float = DEFAULT_S
    is_patient: bool = False

    @property
    def server_s(self) -> float | None:
        """When the server ends a statement."""
        return None if self.is_patient else self.statement_s

    @property
    def answer_s(self) -> float:
        """How long our side waits for an answer, or a patient one until it checks."""
        return self.statement_s * (1 + GRACE)

    @property
    def idle_s(self) -> float:
        """How long a transaction may be open between two statements."""
        return PATIENT_IDLE_S if self.is_patient else self.statement_s

    def patient(self) -> "Timeouts":
        return self._replace(is_patient=True)


USUAL = Timeouts()


def milliseconds(seconds: float | None) -> int:
    """For PostgreSQL, where 0 means no limit."""
    return 0 if seconds is None else max(1, round(seconds * 1000))


def unless_given(options: dict[str, Any], query: Any) -> dict[str, Any]:
    """Options of the driver; what the URL names is left to the URL."""
    return {name: value for name, value in options.items() if name not in query}
