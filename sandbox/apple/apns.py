"""Apple's push service: one push, checked as strictly as Apple checks it."""

import json
import re
import time
from uuid import uuid4

from sandbox import faults
from sandbox.apple import apns_rules
from sandbox.apple.jwts import ProviderTokens, Refused
from sandbox.control.inbox import Inbox
from sandbox.control.push import APNS_HEADERS, Push
from sandbox.control.rules import Counters, Rules
from sandbox.faults import Attempts, Fault
from sandbox.wire.exchange import Answer, Headers, Request

PREFIX = "/3/device"
YEAR_S = 365 * 24 * 3600
_HEX = re.compile(r"[0-9a-fA-F]+")
# The error answers that a magic token can ask for by name.
ERRORS = {
    "429": (429, "TooManyRequests"),
    "500": (500, "InternalServerError"),
    "503": (503, "ServiceUnavailable"),
    "503-after": (503, "ServiceUnavailable"),
    "503-date": (503, "ServiceUnavailable"),
    "bad-environment-key": (403, "BadEnvironmentKeyInToken"),
    "bad-token": (400, "BadDeviceToken"),
    "expired-token": (410, "ExpiredToken"),
    "flaky": (503, "ServiceUnavailable"),
    "invalid-payload": (400, "PayloadEmpty"),
    "not-for-topic": (400, "DeviceTokenNotForTopic"),
    "payload-too-large": (413, "PayloadTooLarge"),
    "quota": (429, "TooManyRequests"),
    "quota-bare": (429, "TooManyRequests"),
    "sender-mismatch": (400, "DeviceTokenNotForTopic"),
    "shutdown": (503, "Shutdown"),
    "slow-body": (410, "Unregistered"),
    "third-party-auth": (403, "InvalidProviderToken"),
    "too-many": (429, "TooManyRequests"),
    "too-many-updates": (429, "TooManyProviderTokenUpdates"),
    "topic-disallowed": (400, "TopicDisallowed"),
    "unknown-reason": (400, "ReasonOfTomorrow"),
    "unregistered": (410, "Unregistered"),
    "unregistered-new": (410, "Unregistered"),
    "unregistered-old": (410, "Unregistered"),
    "wrong-environment": (400, "BadDeviceToken"),
}


class Apns:
    """One environment of Apple's: production, or development."""

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
        self.attempts = Attempts()
        self._tokens = tokens
        # The payload that passed last: a fan-out sends it to very many devices.
        self._passed: tuple[bytes, str | None, str] | None = None

    def push(self, request: Request) -> Answer:
        """The answer to one request; what is accepted is in the inbox."""
        token = request.path[len(PREFIX) + 1 :]
        delivery = Delivery(self, token, request)
        try:
            fault = self._check(request, token)
        except Refused as refused:
            return delivery.refuse(refused.status, refused.reason)
        if fault is None or not self.attempts.fails(token, fault):
            return delivery.accept()
        return faults.commit(fault, delivery, self.rules.slow_s)

    def _check(self, request: Request, token: str) -> Fault | None:
        """Everything that Apple looks at; raises Refused. The fault asked for."""
        outage = self.rules.outage and self.rules.outage_of("apns")
        if outage and outage.name not in faults.ACCEPTING:
            return outage
        _check_address(request, token)
        fields = request.fields
        if request.repeated and any(map(_is_apples, request.repeated)):
            raise Refused(400, "DuplicateHeaders")
        topic = self._check_sender(request)
        apns_rules.check_headers(fields)
        push_type = fields.get("apns-push-type")
        apns_rules.check_topic(topic, push_type, self.rules.topics)
        apns_rules.check_size(request.body, topic, push_type)
        content = (request.body, push_type, fields.get("apns-priority", "10"))
        if content != self._passed:
            apns_rules.check_payload(*content)
            self._passed = content
        return outage or self._fault_of(token)

    def _check_sender(self, request: Request) -> str | None:
        """The topic, of a sender known by token or by certificate."""
        topic = request.fields.get("apns-topic")
        certified: str | None = request.memory.get("topic")
        authorization = request.fields.get("authorization")
        if certified is None or authorization is not None:
            self._tokens.check(authorization)
            certified = None
        request.memory["trusted"] = True
        return topic or certified

    def _fault_of(self, token: str) -> Fault | None:
        chosen = self.rules.chosen("apns", token)
        if chosen is None and len(token) > 3 and _HEX.fullmatch(token):
            return None
        fault = chosen or faults.named(token)
        if fault is None and not _HEX.fullmatch(token):
            raise Refused(400, "BadDeviceToken")
        is_development = self.environment == "development"
        if fault and fault.name == "wrong-environment" and is_development:
            return None
        return fault


class Delivery:
    """One push on its way to its answer."""

    __slots__ = ("_apns", "_id", "_request", "_token")

    def __init__(self, apns: Apns, token: str, request: Request) -> None:
        self._apns = apns
        self._token = token
        self._request = request
        self._id = request.fields.get("apns-id") or str(uuid4())

    def accept(self) -> Answer:
        self._apns.counters.count("apns_accepted")
        self._record(200, None)
        return Answer(200, self.headers())

    def refuse(
        self, status: int, reason: str, more: Headers = (), *, at: float | None = None
    ) -> Answer:
        """An error answer; `at`: since when the token is known to be dead."""
        self.note(status, reason)
        body: dict[str, object] = {"reason": reason}
        if at is not None:
            body["timestamp"] = int(at * 1000)
        return Answer(status, self.headers() + more, json.dumps(body).encode())

    def note(self, status: int | None, reason: str) -> None:
        """Record a push that is not accepted."""
        self._apns.counters.count("apns_refused")
        self._record(status, reason)

    def fail(self, fault: Fault) -> Answer:
        """The error answer that a fault asks for."""
        if fault.name == "answer":
            return self.refuse(fault.status, fault.reason or "Unknown")
        status, reason = ERRORS[fault.name]
        at = None
        if status == 410:
            at = time.time() - (YEAR_S if fault.name == "unregistered-old" else 0)
        more = faults.retry_after(fault, self._apns.rules.retry_after_s)
        return self.refuse(status, reason, more, at=at)

    def headers(self) -> Headers:
        if self._apns.environment == "development":
            return (("apns-id", self._id), ("apns-unique-id", str(uuid4())))
        return (("apns-id", self._id),)

    def _record(self, status: int | None, reason: str | None) -> None:
        inbox, fields = self._apns.inbox, self._request.fields
        push = Push(
            inbox.next_seq(),
            time.time(),
            "apns",
            self._apns.environment,
            self._token,
            self._id,
            fields.get("apns-collapse-id"),
            inbox.share(tuple(map(fields.get, APNS_HEADERS))),
            inbox.share(self._request.body),
            status,
            reason,
        )
        inbox.keep(push)


def _check_address(request: Request, token: str) -> None:
    if request.method != "POST":
        raise Refused(405, "MethodNotAllowed")
    if request.path in (PREFIX, f"{PREFIX}/"):
        raise Refused(400, "MissingDeviceToken")
    if not request.path.startswith(f"{PREFIX}/") or "/" in token or request.query:
        raise Refused(404, "BadPath")


def _is_apples(name: str) -> bool:
    return name == "authorization" or name.startswith("apns-")
