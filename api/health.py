"""Is the server alive, and can it work?"""

from api.context import RequestContext, Result
from api.schemas.health import Health, Readiness, RouteTrouble
from datastore import provider_troubles
from datastore.outbox import claims


def alive(context: RequestContext) -> Result[Health]:
    """The process answers."""
    return Result(200, Health())


def ready(context: RequestContext) -> Result[Readiness]:
    """The database answers, too, and has its tables.

    Providers that refuse our credentials are named, and make no server less ready:
    another one would be refused as well, and messages are kept until that is mended.
    """
    with context.store.read() as session:
        claims.next_due_at(session)
        # Anybody may ask, so the reasons are left to the log.
        found = [
            RouteTrouble(route=trouble.route, since=trouble.since)
            for trouble in provider_troubles.find_all(session)
        ]
    return Result(200, Readiness(troubles=found))
