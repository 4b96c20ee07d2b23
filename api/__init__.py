"""The HTTP API: a table of all routes with their handlers and allowed callers."""

from bottle import Bottle

from api import (
    accounts,
    chats,
    deletions,
    exports,
    health,
    imports,
    jobs,
    kinds,
    messages,
    metrics,
)
from api.auth import Access
from api.bodies import BODY_LIMIT, MEMBERS_BODY_LIMIT
from api.context import AppContext
from api.description import describing_route
from api.imports import UPLOAD_LIMIT
from api.routing import Route, bottle_of

CHAT = "/groupchat/<chat_id:id>"
MESSAGE = CHAT + "/messages/<message_id:id>"
MEMBER = CHAT + "/members/<user_id:id>"
USER = "/users/<user_id:id>"
DEVICES = USER + "/devices"
DEVICE_OF_USER = DEVICES + "/<device_id:id>"
DEVICE = "/devices/<device_id:id>"
TOKENS = USER + "/tokens"
TOKEN = TOKENS + "/<token_id:id>"
KIND = "/kinds/<name:name>"
CREATED, CREATED_OR_EXISTING, NO_CONTENT = (201,), (201, 200), (204,)
ACCEPTED = (202,)

CHATS = (
    Route(
        "POST",
        "/groupchat/send",
        messages.send,
        Access.USER_OR_SERVICE,
        BODY_LIMIT,
        CREATED_OR_EXISTING,
    ),
    Route("GET", CHAT + "/messages", messages.history, Access.USER_OR_SERVICE),
    Route("DELETE", CHAT + "/messages", messages.erase, Access.SERVICE),
    Route("PATCH", MESSAGE, messages.edit),
    Route(
        "DELETE", MESSAGE, messages.delete, Access.USER_OR_SERVICE, statuses=NO_CONTENT
    ),
    Route("PUT", CHAT + "/read", messages.mark_read),
    Route("PUT", CHAT + "/mute", chats.mute),
    Route(
        "POST",
        "/groupchat",
        chats.create,
        Access.USER_OR_SERVICE,
        MEMBERS_BODY_LIMIT,
        CREATED_OR_EXISTING,
    ),
    Route("GET", "/groupchat", chats.list_chats),
    Route("GET", CHAT, chats.show, Access.USER_OR_SERVICE),
    Route("PATCH", CHAT, chats.change, Access.USER_OR_SERVICE),
    Route("DELETE", CHAT, chats.remove, Access.USER_OR_SERVICE, statuses=NO_CONTENT),
    Route("GET", CHAT + "/members", chats.members, Access.USER_OR_SERVICE),
    Route(
        "POST",
        CHAT + "/members",
        chats.add_members,
        Access.USER_OR_SERVICE,
        MEMBERS_BODY_LIMIT,
    ),
    Route("PUT", MEMBER, chats.set_role, Access.USER_OR_SERVICE, statuses=NO_CONTENT),
    Route(
        "DELETE",
        MEMBER,
        chats.remove_member,
        Access.USER_OR_SERVICE,
        statuses=NO_CONTENT,
    ),
)
ACCOUNTS = (
    Route("POST", "/devices", accounts.register_device, statuses=CREATED_OR_EXISTING),
    Route("GET", "/devices", accounts.list_devices),
    Route("DELETE", DEVICE, accounts.remove_device, statuses=NO_CONTENT),
    Route("GET", "/webpush/key", accounts.webpush_key, Access.ANYONE),
    Route("POST", "/logout", accounts.log_out, statuses=NO_CONTENT),
    Route(
        "POST",
        "/users",
        accounts.create_user,
        Access.SERVICE,
        BODY_LIMIT,
        CREATED_OR_EXISTING,
    ),
    Route("GET", "/users", accounts.find_user, Access.SERVICE),
    Route("GET", "/me", accounts.me),
    Route("GET", USER, accounts.show_user, Access.USER_OR_SERVICE),
    Route("DELETE", USER, deletions.delete_user, Access.SERVICE, statuses=ACCEPTED),
    Route("GET", USER + "/export", exports.export, Access.USER_OR_SERVICE),
    Route("GET", "/deletions/<deletion_id:id>", deletions.show, Access.SERVICE),
    Route("PATCH", USER, accounts.change_user, Access.SERVICE),
    Route(
        "POST",
        DEVICES,
        accounts.give_device,
        Access.SERVICE,
        BODY_LIMIT,
        CREATED_OR_EXISTING,
    ),
    Route("GET", DEVICES, accounts.devices_of, Access.SERVICE),
    Route(
        "DELETE",
        DEVICE_OF_USER,
        accounts.take_device,
        Access.SERVICE,
        statuses=NO_CONTENT,
    ),
    Route("POST", TOKENS, accounts.create_token, Access.SERVICE, statuses=CREATED),
    Route("GET", TOKENS, accounts.list_tokens, Access.SERVICE),
    Route("DELETE", TOKEN, accounts.revoke_token, Access.SERVICE, statuses=NO_CONTENT),
)
IMPORTS = (
    Route(
        "POST",
        "/import",
        imports.start,
        Access.SERVICE,
        UPLOAD_LIMIT,
        ACCEPTED,
        audited=True,
    ),
    Route("GET", "/imports/<import_id:id>", imports.show, Access.SERVICE),
)
KINDS = (
    Route("GET", "/kinds", kinds.list_kinds, Access.SERVICE),
    Route("GET", KIND, kinds.show, Access.SERVICE),
    Route(
        "PUT",
        KIND,
        kinds.define,
        Access.SERVICE,
        BODY_LIMIT,
        CREATED_OR_EXISTING,
        audited=True,
    ),
    Route("DELETE", KIND, kinds.remove, Access.SERVICE, statuses=NO_CONTENT),
)
OPERATION = (
    Route("GET", "/jobs/<job_id:id>", jobs.show, Access.USER_OR_SERVICE),
    Route("POST", "/query", jobs.query, Access.USER_OR_SERVICE),
    Route("GET", "/healthz", health.alive, Access.ANYONE),
    Route("GET", "/readyz", health.ready, Access.ANYONE),
    Route("GET", "/metrics", metrics.show, Access.SERVICE),
)
DESCRIBED = CHATS + ACCOUNTS + KINDS + IMPORTS + OPERATION
ROUTES = (*DESCRIBED, describing_route(DESCRIBED))


def build(app: AppContext) -> Bottle:
    """Build the WSGI application of the API; `web.pages` mounts the pages on it."""
    return bottle_of(ROUTES, app)
