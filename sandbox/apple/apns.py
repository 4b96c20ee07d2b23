"""Apple's push service: one push, checked as strictly as Apple checks it."""

import json
import re
import time
from uuid import uuid4

from sandbox import faults
from sandbox.apple import apns_errors, apns_rules
from sandbox.apple.apns_errors import ApnsRefusal
from sandbox.apple.jwts import ProviderTokens
from sandbox.control.counters import Counters
from sandbox.control.inbox import Inbox
from sandbox.control.push import APNS_HEADERS, Push
from sandbox.control.rules import Rules
from sandbox.faults import AttemptCounter, Fault
from sandbox.wire.exchange import Headers, Request, Response, WireFault

PREFIX = "/3/device"
# Apple's number is not known.
MOST_BAD_TOKENS = 100
YEAR_S = 365 * 24 * 3600
_HEX = re.compile(r"[0-9a-fA-F]+")


class Apns:
    """One environment of APNs: production or development."""

    def __init__(
        self,
        environment: str,
        tokens: ProviderTokens,
        rules: Rules,
        counters: Counters,
        inbox: Inbox,
    ) -> None:
        self.environment = environment
        self.rules = rules
        self.counters = counters
        self.inbox = inbox
        self.attempts = AttemptCounter()
        self._tokens = tokens
        # The last valid payload; a fan-out sends the same one to many devices.
        self._valid: tuple[bytes, str | None, str] | None = None

    def push(self, request: Request) -> Response:
        """Check a push, add it to the inbox and respond."""
        token = request.path[len(PREFIX) + 1 :]
        delivery = ApnsDelivery(self, token, request)
        try:
            fault = self._check(request, token)
        except ApnsRefusal as refusal:
            response = delivery.refuse(refusal.status, refusal.reason)
            return self._count_bad_tokens(request, response, refusal.reason)
        request.connection_state.pop("bad_tokens", None)
        if fault is None or not self.attempts.fails(token, fault):
            return delivery.accept()
        return faults.inject(fault, delivery, self.rules.slow_s)

    def _count_bad_tokens(
        self, request: Request, response: Response, reason: str
    ) -> Response:
        """A sender with many bad device tokens in a row loses its connection."""
        if reason != "BadDeviceToken":
            return response
        state = request.connection_state
        state["bad_tokens"] = state.get("bad_tokens", 0) + 1
        if state["bad_tokens"] < MOST_BAD_TOKENS:
            return response
        return response._replace(fault=WireFault("goaway_after", lambda: response))

    def _check(self, request: Request, token: str) -> Fault | None:
        """Check the request, or raise ApnsRefusal; returns the fault to inject."""
        outage = self.rules.outage and self.rules.outage_of("apns")
        if outage and outage.name not in faults.ACCEPTING:
            return outage
        _check_address(request, token)
        fields = request.fields
        # A client may divide its cookies among several fields.
        if request.repeated - {"cookie"}:
            raise ApnsRefusal(400, "DuplicateHeaders")
        topic = self._check_sender(request)
        apns_rules.check_headers(fields)
        push_type = fields.get("apns-push-type")
        # A connection knows the apps that there were when it was first trusted.
        topics = request.connection_state.setdefault("topics", self.rules.topics)
        apns_rules.check_topic(topic, push_type, topics)
        apns_rules.check_size(request.body, topic, push_type)
        content = (request.body, push_type, fields.get("apns-priority", "10"))
        if content != self._valid:
            apns_rules.check_payload(*content)
            self._valid = content
        return outage or self._fault_for(token)

    def _check_sender(self, request: Request) -> str | None:
        """Authenticate by token or certificate; returns the topic."""
        fields = request.fields
        topic = fields.get("apns-topic")
        certified: str | None = request.connection_state.get("topic")
        authorization = fields.get("authorization")
        if certified is None or authorization is not None:
            self._tokens.check(authorization)
            certified = None
        elif fields.get("apns-push-type") == "location":
            # Queries for the location need a token; the reason is our choice.
            raise ApnsRefusal(403, "MissingProviderToken")
        request.connection_state["trusted"] = True
        return topic or certified

    def _fault_for(self, token: str) -> Fault | None:
        chosen = self.rules.fault_for("apns", token)
        if chosen is None and len(token) > 3 and _HEX.fullmatch(token):
            return None
        fault = chosen or faults.parse(token)
        if fault is None and not _HEX.fullmatch(token):
            raise ApnsRefusal(400, "BadDeviceToken")
        is_development = self.environment == "development"
        if fault and fault.name == "wrong-environment" and is_development:
            return None
        return fault


class ApnsDelivery:
    """One push that is being handled."""

    __slots__ = ("_apns", "_id", "_request", "_token")

    def __init__(self, apns: Apns, token: str, request: Request) -> None:
        self._apns = apns
        self._token = token
        self._request = request
        self._id = request.fields.get("apns-id") or str(uuid4())

    def accept(self) -> Response:
        self._apns.counters.count("apns_accepted")
        self._add_to_inbox(200, None)
        return Response(200, self.headers())

    def refuse(
        self, status: int, reason: str, more: Headers = (), *, at: float | None = None
    ) -> Response:
        """Refuse the push; `at` is the time since when the token is unregistered."""
        self.record_refusal(status, reason)
        body: dict[str, object] = {"reason": reason}
        if at is not None:
            body["timestamp"] = int(at * 1000)
        return Response(status, self.headers() + more, json.dumps(body).encode())

    def record_refusal(self, status: int | None, reason: str) -> None:
        self._apns.counters.count("apns_refused")
        self._add_to_inbox(status, reason)

    def fail(self, fault: Fault) -> Response:
        if fault.name == "answer":
            return self.refuse(fault.status, fault.reason or "Unknown")
        status, reason = apns_errors.ERRORS[fault.name]
        at = None
        if status == 410:
            at = time.time() - (YEAR_S if fault.name == "unregistered-old" else 0)
        more = faults.retry_after(fault, self._apns.rules.retry_after_s)
        return self.refuse(status, reason, more, at=at)

    def headers(self) -> Headers:
        if self._apns.environment == "development":
            return (("apns-id", self._id), ("apns-unique-id", str(uuid4())))
        return (("apns-id", self._id),)

    def _add_to_inbox(self, status: int | None, reason: str | None) -> None:
        inbox, fields = self._apns.inbox, self._request.fields
        push = Push(
            inbox.next_seq(),
            time.time(),
            "apns",
            self._apns.environment,
            self._token,
            self._id,
            fields.get("apns-collapse-id"),
            inbox.intern(tuple(map(fields.get, APNS_HEADERS))),
            inbox.intern(self._request.body),
            status,
            reason,
        )
        inbox.add(push)


def _check_address(request: Request, token: str) -> None:
    if request.method != "POST":
        raise ApnsRefusal(405, "MethodNotAllowed")
    if request.path in (PREFIX, f"{PREFIX}/"):
        raise ApnsRefusal(400, "MissingDeviceToken")
    if not request.path.startswith(f"{PREFIX}/") or "/" in token or request.query:
        raise ApnsRefusal(404, "BadPath")
