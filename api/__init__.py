"""The HTTP API: every route, who may call it, and what it does."""

from threading import Semaphore

from bottle import Bottle

from api import accounts, chats, groupchat, health, imports, jobs, metrics, pages
from api.app_tokens import AppTokens
from api.auth import Who
from api.bodies import BODY_LIMIT, MEMBERS_BODY_LIMIT
from api.call import House
from api.description import routes_about
from api.front import Front
from api.imports import UPLOAD_LIMIT
from api.limits import Limits, per_minute
from api.news import News
from api.routing import Route, application
from datastore import Datastore
from notifier.dispatchers import Dispatcher

CHAT = "/groupchat/<chat_id:id>"
MESSAGE = CHAT + "/messages/<message_id:id>"
MEMBER = CHAT + "/members/<user_id:id>"
USER = "/users/<user_id:id>"
DEVICES = USER + "/devices"
DEVICE_OF = DEVICES + "/<device_id:id>"
TOKENS = USER + "/tokens"
TOKEN = TOKENS + "/<token_id:id>"
DEVICE = "/devices/<device_id:id>"
LIMIT, LARGE = BODY_LIMIT, MEMBERS_BODY_LIMIT

CREATED, CREATED_OR_KNOWN, GONE = (201,), (201, 200), (204,)

CHATS = (
    Route("POST", "/groupchat/send", groupchat.send, statuses=CREATED_OR_KNOWN),
    Route("GET", CHAT + "/messages", groupchat.history),
    Route("PATCH", MESSAGE, groupchat.edit),
    Route("DELETE", MESSAGE, groupchat.take_back, statuses=GONE),
    Route("PUT", CHAT + "/read", groupchat.mark_read),
    Route("PUT", CHAT + "/mute", chats.mute),
    Route("POST", "/groupchat", chats.create, Who.EITHER, LARGE, CREATED_OR_KNOWN),
    Route("GET", "/groupchat", chats.list_chats),
    Route("GET", CHAT, chats.show, Who.EITHER),
    Route("PATCH", CHAT, chats.rename, Who.EITHER),
    Route("DELETE", CHAT, chats.remove, Who.EITHER, statuses=GONE),
    Route("GET", CHAT + "/members", chats.members, Who.EITHER),
    Route("POST", CHAT + "/members", chats.add_members, Who.EITHER, LARGE),
    Route("PUT", MEMBER, chats.set_role, Who.EITHER, statuses=GONE),
    Route("DELETE", MEMBER, chats.remove_member, Who.EITHER, statuses=GONE),
)
ACCOUNTS = (
    Route("POST", "/devices", accounts.register_device, statuses=CREATED_OR_KNOWN),
    Route("GET", "/devices", accounts.list_devices),
    Route("DELETE", DEVICE, accounts.remove_device, statuses=GONE),
    Route("GET", "/webpush/key", accounts.webpush_key, Who.ANYONE),
    Route("POST", "/logout", accounts.log_out, statuses=GONE),
    Route("POST", "/users", accounts.create_user, Who.SERVICE, LIMIT, CREATED_OR_KNOWN),
    Route("GET", "/users", accounts.find_user, Who.SERVICE),
    Route("PATCH", USER, accounts.rename_user, Who.SERVICE),
    Route("POST", DEVICES, accounts.give_device, Who.SERVICE, LIMIT, CREATED_OR_KNOWN),
    Route("GET", DEVICES, accounts.devices_of, Who.SERVICE),
    Route("DELETE", DEVICE_OF, accounts.take_device, Who.SERVICE, statuses=GONE),
    Route("POST", TOKENS, accounts.create_token, Who.SERVICE, statuses=CREATED),
    Route("GET", TOKENS, accounts.list_tokens, Who.SERVICE),
    Route("DELETE", TOKEN, accounts.revoke_token, Who.SERVICE, statuses=GONE),
)
IMPORTS = (
    Route("POST", "/import", imports.start, Who.SERVICE, UPLOAD_LIMIT, statuses=(202,)),
    Route("GET", "/imports/<import_id:id>", imports.show, Who.SERVICE),
)
OPERATION = (
    Route("GET", "/jobs/<job_id:id>", jobs.show, Who.EITHER),
    Route("POST", "/query", jobs.query, Who.EITHER),
    Route("GET", "/healthz", health.alive, Who.ANYONE),
    Route("GET", "/readyz", health.ready, Who.ANYONE),
    Route("GET", "/metrics", metrics.show, Who.SERVICE),
)
DESCRIBED = CHATS + ACCOUNTS + IMPORTS + OPERATION
ROUTES = DESCRIBED + routes_about(DESCRIBED)

# As many as there are connections to the database.
AT_ONCE = 15


def build(
    *,
    store: Datastore,
    dispatcher: Dispatcher,
    service_key: str,
    limits: Limits | None = None,
    news: News | None = None,
    front: Front | None = None,
    app_tokens: AppTokens | None = None,
    webpush_key: str | None = None,
) -> Bottle:
    """The WSGI application; without `news`, one of the host's threads may long-poll."""
    house = House(
        store=store,
        dispatcher=dispatcher,
        service_key=service_key,
        gate=Semaphore(AT_ONCE),
        news=news or News(most_waiting=1),
        limits=limits or per_minute(),
        app_tokens=app_tokens,
        slots=front.slots if front else None,
        webpush_key=webpush_key,
    )
    app = application(ROUTES, house)
    pages.mount(app, house, front or Front())
    return app
