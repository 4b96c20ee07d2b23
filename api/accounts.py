"""Handlers for users, their tokens and their devices."""

from contextlib import suppress
from datetime import timedelta

from api import page_size
from api.context import RequestContext, Result
from api.schemas.accounts import (
    EMAIL,
    ChangedUser,
    CreatedUser,
    DeviceOut,
    Devices,
    FoundUsers,
    Logout,
    NewDevice,
    NewToken,
    NewUser,
    Profile,
    Token,
    TokenOut,
    Tokens,
    UserOut,
    UserQuery,
    Users,
    WebpushKey,
    device_out,
)
from datastore import accounts, acquaintances
from models.accounts import User
from models.base import utc_now
from models.errors import Forbidden, NotFound

USERS_SHOWN = 100


def create_user(context: RequestContext, body: NewUser) -> Result[CreatedUser]:
    """Create a user and a first token.

    If a user with this external_id exists, that user stays unchanged and gets another
    token.
    """
    now = utc_now()
    with context.store.write() as session:
        user, is_new = accounts.add_user(
            session,
            body.name,
            now,
            external_id=body.external_id,
            avatar_url=body.avatar_url,
        )
        token, _ = accounts.issue_token(session, user.id, now)
    created = CreatedUser(**_user_out(user).model_dump(), token=token)
    return Result(201 if is_new else 200, created)


def find_user(context: RequestContext, query: UserQuery) -> Result[FoundUsers]:
    """List users by pages, or find one by its external_id.

    With `external_id`, which your backend or an import has set, the response is that
    user. Without it, it is a page of all users, ordered by id.
    """
    if query.external_id is not None:
        with context.store.read() as session:
            user = accounts.find_by_external_id(session, query.external_id)
        return Result(200, FoundUsers(_user_out(user)))
    limit = query.limit or USERS_SHOWN
    with context.store.read() as session:
        found = accounts.list_users(session, after=query.after or 0, limit=limit + 1)
    page = page_size.first([_user_out(user) for user in found[:limit]])
    users = Users(users=list(page), has_more=len(page) < len(found))
    return Result(200, FoundUsers(users))


def me(context: RequestContext) -> Result[UserOut]:
    """Show the calling user."""
    with context.store.read() as session:
        return Result(200, _user_out(accounts.find_user(session, context.user.id)))


def show_user(context: RequestContext, user_id: int) -> Result[Profile]:
    """Show a user to everyone who shares a conversation with them."""
    caller = context.caller
    with context.store.read() as session:
        user = accounts.find_user(session, user_id)
        sees_all = caller is None or caller.id == user_id
        if not sees_all and not acquaintances.among(
            session, context.user.id, [user_id]
        ):
            # As if there were no such user.
            raise NotFound(accounts.NO_USER)
    return Result(
        200,
        Profile(
            id=user.id,
            external_id=user.external_id if sees_all else None,
            name=user.name,
            avatar_url=user.avatar_url,
            created_at=user.created_at if sees_all else None,
        ),
    )


def _user_out(user: User) -> UserOut:
    return UserOut.model_validate(user, from_attributes=True)


def change_user(
    context: RequestContext, user_id: int, body: ChangedUser
) -> Result[UserOut]:
    """Change a user's name or avatar; notifications already shown keep the old ones."""
    changes = body.model_dump(exclude_unset=True)
    with context.store.write() as session:
        user = accounts.change_user(session, user_id, changes)
    return Result(200, _user_out(user))


def create_token(
    context: RequestContext, user_id: int, body: NewToken
) -> Result[Token]:
    """Create another token for a user."""
    now = utc_now()
    expires_at = now + timedelta(seconds=body.expires_in) if body.expires_in else None
    with context.store.write() as session:
        token, row = accounts.issue_token(session, user_id, now, expires_at=expires_at)
    issued = Token(
        id=row.id,
        user_id=user_id,
        token=token,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
    return Result(201, issued)


def list_tokens(context: RequestContext, user_id: int) -> Result[Tokens]:
    """List a user's tokens without their secret part."""
    with context.store.read() as session:
        tokens = accounts.list_tokens(session, user_id)
    listed = [TokenOut.model_validate(row, from_attributes=True) for row in tokens]
    return Result(200, Tokens(tokens=listed))


def revoke_token(context: RequestContext, user_id: int, token_id: int) -> Result[None]:
    """Revoke a token of a user before it expires."""
    with context.store.write() as session:
        accounts.revoke_token(session, user_id, token_id, utc_now())
    return Result(204)


def log_out(context: RequestContext, body: Logout) -> Result[None]:
    """Revoke the token of this request, and remove the device it was used on.

    A device that is not the caller's is ignored. A token that your own backend has
    signed stays valid until it expires.
    """
    user = context.user
    with context.store.write() as session:
        if body.device_id is not None:
            # A device that is already removed must not prevent the logout.
            with suppress(NotFound):
                accounts.remove_device(session, user.id, body.device_id)
        if user.token_id is not None:
            accounts.revoke_token(session, user.id, user.token_id, utc_now())
    return Result(204)


def register_device(context: RequestContext, body: NewDevice) -> Result[DeviceOut]:
    """Register a device for the caller; a known token is renewed.

    The device then belongs to the caller, even if another user had registered it. Only
    the service key can register a mail address, because a user could name any address.
    """
    if body.platform == EMAIL:
        raise Forbidden(
            "Only the service key can register a mail address: "
            f"POST /users/{context.user.id}/devices."
        )
    return give_device(context, context.user.id, body)


def give_device(
    context: RequestContext, user_id: int, body: NewDevice
) -> Result[DeviceOut]:
    """Register a device for a user; a known token is renewed.

    The device then belongs to this user, even if another user had registered it. Only
    this route can register a mail address; make sure that it is the user's own.
    """
    with context.store.write() as session:
        device, is_new = accounts.register_device(
            session, user_id, **body.model_dump(), now=utc_now()
        )
    return Result(201 if is_new else 200, device_out(device))


def list_devices(context: RequestContext) -> Result[Devices]:
    """List the caller's devices."""
    return devices_of(context, context.user.id)


def devices_of(context: RequestContext, user_id: int) -> Result[Devices]:
    """List a user's devices."""
    with context.store.read() as session:
        devices = accounts.list_devices(session, user_id)
    return Result(200, Devices(devices=[device_out(device) for device in devices]))


def remove_device(context: RequestContext, device_id: int) -> Result[None]:
    """Remove a device of the caller; it gets no more pushes."""
    return take_device(context, context.user.id, device_id)


def take_device(context: RequestContext, user_id: int, device_id: int) -> Result[None]:
    """Remove a device of a user, such as a mail address that bounces."""
    with context.store.write() as session:
        accounts.remove_device(session, user_id, device_id)
    return Result(204)


def webpush_key(context: RequestContext) -> Result[WebpushKey]:
    """Show the key that browsers subscribe to web pushes with."""
    if context.app.webpush_key is None:
        raise NotFound("This server does not push to browsers.")
    return Result(200, WebpushKey(public_key=context.app.webpush_key))
