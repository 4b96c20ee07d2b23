"""Firebase Cloud Messaging, HTTP v1: one message, checked as Google checks it."""

import re
import secrets
import time
from typing import Any

from sandbox import faults, keys
from sandbox.control.inbox import Inbox
from sandbox.control.push import FCM_HEADERS, Push
from sandbox.control.rules import Counters, Rules
from sandbox.faults import Attempts, Fault
from sandbox.google import fcm_errors, fcm_schema
from sandbox.google.fcm_errors import Refusal
from sandbox.google.oauth import AccessTokens
from sandbox.wire.exchange import JSON, Answer, Headers, Request

_PATH = re.compile(r"/v1/projects/([^/:]+)/messages:send")


class Fcm:
    """Google's side of a push."""

    def __init__(
        self, tokens: AccessTokens, rules: Rules, counters: Counters, inbox: Inbox
    ) -> None:
        self.rules = rules
        self.counters = counters
        self.inbox = inbox
        self.attempts = Attempts()
        self._tokens = tokens
        self._named = 0
        self._start = f"{int(time.time() * 1e6):x}{secrets.token_hex(3)}"

    def push(self, request: Request) -> Answer:
        """The answer to one request; what is accepted is in the inbox."""
        delivery = Delivery(self, request)
        try:
            fault, dry = self._check(request, delivery)
        except Refusal as refusal:
            return delivery.refuse(refusal)
        if fault is not None and self.attempts.fails(delivery.token, fault):
            return faults.commit(fault, delivery, self.rules.slow_s)
        return _named(self.new_name()) if dry else delivery.accept()

    def new_name(self) -> str:
        """What a message is called from now on."""
        self._named += 1
        return f"projects/{keys.PROJECT}/messages/0:{self._start}%{self._named:x}"

    def _check(
        self, request: Request, delivery: "Delivery"
    ) -> tuple[Fault | None, bool]:
        """Everything that Google looks at; the fault, and whether it is a dry run."""
        outage = self.rules.outage and self.rules.outage_of("fcm")
        if outage and outage.name not in faults.ACCEPTING:
            return outage, False
        found = _PATH.fullmatch(request.path)
        if found is None or request.method != "POST":
            raise fcm_errors.not_found("The requested URL was not found.")
        self._tokens.check(request.fields.get("authorization"))
        if found[1] != keys.PROJECT:
            raise fcm_errors.foreign_project(found[1])
        delivery.message, dry = fcm_schema.read(request.body)
        delivery.token = token = fcm_schema.address(delivery.message)
        fault = outage or self.rules.chosen("fcm", token) or faults.named(token)
        return fault, dry


class Delivery:
    """One message on its way to its answer."""

    __slots__ = ("_fcm", "_request", "message", "token")

    def __init__(self, fcm: Fcm, request: Request) -> None:
        self._fcm = fcm
        self._request = request
        # Filled as soon as they can be read.
        self.message: dict[str, Any] = {}
        self.token = ""

    def accept(self) -> Answer:
        self._fcm.counters.count("fcm_accepted")
        name = self._fcm.new_name()
        self._record(name, 200, None)
        return _named(name)

    def refuse(self, refusal: Refusal) -> Answer:
        """An error answer."""
        self.note(refusal.status, refusal.reason)
        return Answer(refusal.status, JSON + refusal.headers, refusal.body())

    def note(self, status: int | None, reason: str) -> None:
        """Record a message that is not accepted."""
        self._fcm.counters.count("fcm_refused")
        self._record("", status, reason)

    def fail(self, fault: Fault) -> Answer:
        """The error answer that a fault asks for."""
        more = faults.retry_after(fault, self._fcm.rules.retry_after_s)
        return self.refuse(fcm_errors.of(fault, more))

    def headers(self) -> Headers:
        return JSON

    def _record(self, name: str, status: int | None, reason: str | None) -> None:
        inbox, request = self._fcm.inbox, self._request
        push = Push(
            inbox.next_seq(),
            time.time(),
            "fcm",
            "production",
            self.token,
            name,
            fcm_schema.mark(self.message),
            inbox.share(tuple(map(request.fields.get, FCM_HEADERS))),
            request.body,
            status,
            reason,
        )
        inbox.keep(push)


def _named(name: str) -> Answer:
    return Answer(200, JSON, b'{\n  "name": "%s"\n}\n' % name.encode())
