"""Firebase Cloud Messaging, HTTP v1: one message, checked as Google checks it."""

import re
import secrets
import time
from typing import Any

from sandbox import faults, keys
from sandbox.control.counters import Counters
from sandbox.control.inbox import Inbox
from sandbox.control.push import FCM_HEADERS, Push
from sandbox.control.rules import Rules
from sandbox.faults import AttemptCounter, Fault
from sandbox.google import fcm_errors, fcm_schema
from sandbox.google.fcm_errors import FcmRefusal
from sandbox.google.oauth import AccessTokens
from sandbox.wire.exchange import JSON, Headers, Request, Response

_PATH = re.compile(r"/v1/projects/([^/:]+)/messages:send")


class Fcm:
    """The send endpoint of FCM."""

    def __init__(
        self, tokens: AccessTokens, rules: Rules, counters: Counters, inbox: Inbox
    ) -> None:
        self.rules = rules
        self.counters = counters
        self.inbox = inbox
        self.attempts = AttemptCounter()
        self._tokens = tokens
        self._count = 0
        self._prefix = f"{int(time.time() * 1e6):x}{secrets.token_hex(3)}"

    def push(self, request: Request) -> Response:
        """Check a message, add it to the inbox and respond."""
        delivery = FcmDelivery(self, request)
        try:
            fault, is_dry_run = self._check(request, delivery)
        except FcmRefusal as refusal:
            return delivery.refuse(refusal)
        if fault is not None and self.attempts.fails(delivery.token, fault):
            return faults.inject(fault, delivery, self.rules.slow_s)
        return _accepted(self.new_name()) if is_dry_run else delivery.accept()

    def new_name(self) -> str:
        """A name for a message, unique across restarts."""
        self._count += 1
        return f"projects/{keys.PROJECT}/messages/0:{self._prefix}%{self._count:x}"

    def _check(
        self, request: Request, delivery: "FcmDelivery"
    ) -> tuple[Fault | None, bool]:
        """Check the request; returns the fault, and whether it is a dry run."""
        outage = self.rules.outage and self.rules.outage_of("fcm")
        if outage and outage.name not in faults.ACCEPTING:
            return outage, False
        found = _PATH.fullmatch(request.path)
        if found is None or request.method != "POST":
            raise fcm_errors.not_found("The requested URL was not found.")
        self._tokens.check(request.fields.get("authorization"))
        if found[1] not in (keys.PROJECT, keys.PROJECT_NUMBER):
            raise fcm_errors.foreign_project(found[1])
        delivery.message, is_dry_run = fcm_schema.read(request.body)
        delivery.token = token = fcm_schema.address(delivery.message)
        fault = outage or self.rules.fault_for("fcm", token) or faults.parse(token)
        return fault, is_dry_run


class FcmDelivery:
    """One message that is being handled."""

    __slots__ = ("_fcm", "_request", "message", "token")

    def __init__(self, fcm: Fcm, request: Request) -> None:
        self._fcm = fcm
        self._request = request
        # Empty until the body has been parsed.
        self.message: dict[str, Any] = {}
        self.token = ""

    def accept(self) -> Response:
        self._fcm.counters.count("fcm_accepted")
        name = self._fcm.new_name()
        self._add_to_inbox(name, 200, None)
        return _accepted(name)

    def refuse(self, refusal: FcmRefusal) -> Response:
        self.record_refusal(refusal.status, refusal.reason)
        return Response(refusal.status, JSON + refusal.headers, refusal.body())

    def record_refusal(self, status: int | None, reason: str) -> None:
        self._fcm.counters.count("fcm_refused")
        self._add_to_inbox("", status, reason)

    def fail(self, fault: Fault) -> Response:
        more = faults.retry_after(fault, self._fcm.rules.retry_after_s)
        return self.refuse(fcm_errors.for_fault(fault, more))

    def headers(self) -> Headers:
        return JSON

    def _add_to_inbox(self, name: str, status: int | None, reason: str | None) -> None:
        inbox, request = self._fcm.inbox, self._request
        push = Push(
            inbox.next_seq(),
            time.time(),
            "fcm",
            "production",
            self.token,
            name,
            fcm_schema.collapse_id(self.message),
            inbox.intern(tuple(map(request.fields.get, FCM_HEADERS))),
            request.body,
            status,
            reason,
            self._fcm.rules.is_iphone(self.token),
        )
        inbox.add(push)


def _accepted(name: str) -> Response:
    return Response(200, JSON, b'{\n  "name": "%s"\n}\n' % name.encode())
