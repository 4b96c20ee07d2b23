"""A plain chat server with Bottle and psycopg, which the rivals of `others` share.

It checks the sender's token and membership and saves the message in one statement. It
keeps no order, no read marks and no badges, and repeats no push by itself.
"""

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import NamedTuple

import bottle
import psycopg
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamEnded

SAVE = """
    INSERT INTO message (chat_id, sender_id, text)
    SELECT member.chat_id, account.id, %s
    FROM account JOIN member ON member.account_id = account.id
    WHERE account.token = %s AND member.chat_id = %s
    RETURNING id
"""
# The message and the devices of all members but the sender.
RECIPIENTS = """
    SELECT message.text, message.chat_id, sender.name, device.id, device.token
    FROM message
    JOIN account AS sender ON sender.id = message.sender_id
    JOIN member ON member.chat_id = message.chat_id
    JOIN device ON device.account_id = member.account_id
    WHERE message.id = %s AND member.account_id <> message.sender_id
"""
# As long as a provider token signed with ES256, which a server signs once in an hour;
# the sandbox wants a real one.
HEADERS = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "api.push.apple.com"),
    ("authorization", "bearer " + os.environ.get("RIVAL_APNS_TOKEN", "t" * 190)),
    ("apns-topic", os.environ.get("RIVAL_APNS_TOPIC", "com.example.chat")),
    ("apns-push-type", "alert"),
    ("apns-priority", "10"),
]
# Whether the provider wants one push on a new connection first, as Apple does.
ONE_FIRST = "RIVAL_ONE_FIRST" in os.environ
# Each thread has its own connections.
_local = threading.local()


class Push(NamedTuple):
    """A device's token and the payload for it."""

    token: str
    payload: bytes


class Provider:
    """A connection to the provider, by the library h2.

    It sends the pushes of a message in one write, which costs a fraction of the CPU
    time of httpx or aioapns: no rival is to lose because of its HTTP client.
    """

    def __init__(self) -> None:
        context = ssl.create_default_context(cafile=os.environ["RIVAL_CA_FILE"])
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", int(os.environ["RIVAL_PROVIDER"])))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw, server_hostname="localhost")
        self._http = H2Connection(
            H2Configuration(
                header_encoding="utf-8",
                validate_inbound_headers=False,
                validate_outbound_headers=False,
            )
        )
        self._http.initiate_connection()
        self._is_new = ONE_FIRST

    def send(self, pushes: list[Push]) -> None:
        """Returns when all of them are answered; raises if any is refused."""
        if self._is_new:
            self._is_new = False
            self.send(pushes[:1])
            pushes = pushes[1:]
        http = self._http
        for push in pushes:
            stream = http.get_next_available_stream_id()
            path = (":path", "/3/device/" + push.token)
            http.send_headers(stream, [path, *HEADERS])
            http.send_data(stream, push.payload, end_stream=True)
        left = len(pushes)
        self._socket.sendall(http.data_to_send())
        while left:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the provider closed the connection")
            for event in http.receive_data(received):
                if isinstance(event, ResponseReceived):
                    assert dict(event.headers)[":status"] == "200"
                elif isinstance(event, StreamEnded):
                    left -= 1
            if answers := http.data_to_send():
                self._socket.sendall(answers)


def connection() -> psycopg.Connection:
    """This thread's connection to the database that libpq's variables name."""
    if not hasattr(_local, "database") or _local.database.closed:
        _local.database = psycopg.connect(autocommit=True)
    found: psycopg.Connection = _local.database
    return found


def provider() -> Provider:
    """This thread's connection to the provider."""
    if not hasattr(_local, "provider"):
        _local.provider = Provider()
    found: Provider = _local.provider
    return found


def pushes_of(message_id: int) -> list[Push]:
    rows = connection().execute(RECIPIENTS, (message_id,)).fetchall()
    pushes = []
    for text, chat_id, name, device_id, token in rows:
        alert = {"title": name, "body": text}
        payload = {
            "aps": {"alert": alert, "sound": "default", "thread-id": str(chat_id)},
            "chat": chat_id,
            "message": message_id,
            # The benchmark's sink finds its way by it.
            "device": device_id,
        }
        pushes.append(Push(token, json.dumps(payload).encode()))
    return pushes


def push(message_id: int) -> None:
    """The work behind a message: read the devices, push to all of them."""
    pushes = pushes_of(message_id)
    try:
        provider().send(pushes)
    except (OSError, AssertionError):
        # The next message gets a new connection.
        vars(_local).pop("provider", None)
        raise


def save(database: psycopg.Connection) -> int:
    """The id of the current request's message, saved but not yet committed."""
    request = bottle.request
    token = request.get_header("Authorization", "").removeprefix("Bearer ")
    sent = request.json
    given = (sent["message"], token, sent["conversation"])
    row = database.execute(SAVE, given).fetchone()
    if row is None:
        raise bottle.HTTPError(403, "not a member")
    saved: int = row[0]
    return saved


def application(
    after: Callable[[int], object] | None = None,
    within: Callable[[psycopg.Connection, int], object] | None = None,
) -> bottle.Bottle:
    """A server that calls `after` behind the commit, or `within` the transaction."""
    app = bottle.Bottle()

    @app.post("/groupchat/send")
    def send() -> dict[str, object]:
        database = connection()
        if within is not None:
            with database.transaction():
                message_id = save(database)
                within(database, message_id)
        else:
            # A transaction of one statement, which PostgreSQL commits by itself.
            message_id = save(database)
        if after is not None:
            after(message_id)
        bottle.response.status = 201
        return {"message": {"id": message_id}}

    return app
