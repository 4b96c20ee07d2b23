"""Schemas of the health checks."""

from datetime import datetime
from typing import Literal

from api.schemas import Out


class Health(Out):
    status: Literal["ok"] = "ok"


class RouteTrouble(Out):
    """A route to a provider that needs the operator; the log has the reason."""

    route: str
    since: datetime


class Readiness(Out):
    """The server is ready; `troubles` names the routes whose pushes have to wait.

    `apns certificate` is among them 30 days before the client certificate expires.
    """

    status: Literal["ok"] = "ok"
    troubles: list[RouteTrouble]
