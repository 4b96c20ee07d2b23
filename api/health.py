"""Handlers of the health checks."""

from api.context import RequestContext, Result
from api.schemas.health import Health, Readiness, RouteTrouble
from datastore import provider_troubles, schema_check
from datastore.outbox import claims


def alive(context: RequestContext) -> Result[Health]:
    """Check that the process answers."""
    return Result(200, Health())


def ready(context: RequestContext) -> Result[Readiness]:
    """Check that the database answers, has been migrated, and takes writes.

    `troubles` names the providers that refuse our credentials or cannot be reached. The
    status stays 200, because this server takes messages all the same, and keeps them
    until their providers take them.
    """
    with context.store.read() as session:
        schema_check.require(session.connection())
        claims.next_due_at(session)
        context.store.check_writable(session)
        # This route is public, so the reasons are only in the log.
        found = [
            RouteTrouble(route=trouble.route, since=trouble.since)
            for trouble in provider_troubles.find_all(session)
        ]
    # At the start of this worker the database may not have answered.
    context.app.kinds.store_file(context.store)
    return Result(200, Readiness(troubles=found))
