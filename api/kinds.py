"""Handlers for kinds of notifications."""

from api.context import RequestContext, Result
from api.schemas import kinds as schemas
from datastore import kind_documents, kinds
from models import kinds as rules
from models.base import utc_now
from models.kind_rows import Kind


def list_kinds(context: RequestContext) -> Result[schemas.Kinds]:
    """List the kinds of notifications that messages can name."""
    with context.store.read() as session:
        found = [_listed(kind) for kind in kinds.listed(session)]
    return Result(200, schemas.Kinds(kinds=found))


def show(context: RequestContext, name: str) -> Result[schemas.DefinedKind]:
    """Show the definition of a kind."""
    with context.store.read() as session:
        return Result(200, _defined(kinds.find(session, name)))


def define(
    context: RequestContext, name: str, body: schemas.KindDefinition
) -> Result[schemas.DefinedKind]:
    """Define a kind, or replace its definition; later pushes follow it.

    The definition is checked against the rules of the providers.
    """
    kind_documents.check_name(name)
    definition = rules.check(body.model_dump(exclude_unset=True), name=name)
    with context.store.write() as session:
        kind, is_new = kinds.save(session, name, definition, utc_now())
        defined = _defined(kind)
    context.app.kinds.forget()
    return Result(201 if is_new else 200, defined)


def remove(context: RequestContext, name: str) -> Result[None]:
    """Remove a kind; its messages then look like those without a kind."""
    with context.store.write() as session:
        kinds.remove(session, name)
    context.app.kinds.forget()
    return Result(204)


def _listed(kind: Kind) -> schemas.KindOut:
    return schemas.KindOut(
        name=kind.name,
        members=kind.for_members,
        from_file=kind.from_file,
        updated_at=kind.updated_at,
    )


def _defined(kind: Kind) -> schemas.DefinedKind:
    listed = _listed(kind).model_dump()
    return schemas.DefinedKind(**listed, definition=kind.definition)
