"""The HTTP API: every route, who may call it, and what it does."""

from bottle import Bottle

from api import accounts, chats, groupchat, health, jobs
from api.auth import Who
from api.bodies import MEMBERS_BODY_LIMIT
from api.routing import Endpoint, Route, add, new_app
from datastore import Datastore
from notifier.dispatchers import Dispatcher

ROUTES = (
    Route("POST", "/groupchat/send", groupchat.send),
    Route("GET", "/groupchat/<chat_id:id>/messages", groupchat.history),
    Route("POST", "/groupchat", chats.create, body_limit=MEMBERS_BODY_LIMIT),
    Route("GET", "/groupchat/<chat_id:id>", chats.show, Who.EITHER),
    Route("GET", "/groupchat/<chat_id:id>/members", chats.members, Who.EITHER),
    Route(
        "POST",
        "/groupchat/<chat_id:id>/members",
        chats.add_members,
        Who.EITHER,
        body_limit=MEMBERS_BODY_LIMIT,
    ),
    Route(
        "DELETE",
        "/groupchat/<chat_id:id>/members/<user_id:id>",
        chats.remove_member,
        Who.EITHER,
    ),
    Route("GET", "/jobs/<job_id:id>", jobs.show, Who.EITHER),
    Route("POST", "/devices", accounts.register_device),
    Route("GET", "/devices", accounts.list_devices),
    Route("DELETE", "/devices/<device_id:id>", accounts.remove_device),
    Route("POST", "/users", accounts.create_user, Who.SERVICE),
    Route("POST", "/users/<user_id:id>/tokens", accounts.create_token, Who.SERVICE),
    Route("GET", "/healthz", health.alive, Who.ANYONE),
    Route("GET", "/readyz", health.ready, Who.ANYONE),
)


def build(*, store: Datastore, dispatcher: Dispatcher, service_key: str) -> Bottle:
    """The WSGI application."""
    app = new_app()
    for route in ROUTES:
        endpoint = Endpoint(
            route=route, store=store, dispatcher=dispatcher, service_key=service_key
        )
        add(app, endpoint)
    return app
