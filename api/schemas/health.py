"""How the server is."""

from datetime import datetime
from typing import Literal

from api.schemas import Out


class Health(Out):
    status: Literal["ok"] = "ok"


class RouteTrouble(Out):
    """A way to a provider that refuses our credentials; the notifier's log says why."""

    route: str
    since: datetime


class Readiness(Out):
    """Whether requests can be served, and which pushes have to wait nevertheless."""

    status: Literal["ok"] = "ok"
    troubles: list[RouteTrouble]
