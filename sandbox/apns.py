"""Apple's push service: one push, checked as strictly as Apple checks it."""

import json
import re
import time
from collections.abc import Callable
from functools import partial
from uuid import uuid4

from sandbox import apns_rules, faults
from sandbox.exchange import Answer, Headers, Request, Trick
from sandbox.faults import Attempts, Fault
from sandbox.inbox import Inbox
from sandbox.jwts import ProviderTokens, Refused
from sandbox.push import APNS_HEADERS
from sandbox.rules import Counters, Rules

PREFIX = "/3/device"
YEAR_S = 365 * 24 * 3600
_HEX = re.compile(r"[0-9a-fA-F]{2,400}")
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
        self.attempts = Attempts()
        self._tokens = tokens
        self._rules = rules
        self._counters = counters
        self._inbox = inbox
        # The payload that passed last: a fan-out sends it to very many devices.
        self._passed: tuple[bytes, str | None, str] | None = None

    def push(self, request: Request) -> Answer:
        """The answer to one request; what is accepted is in the inbox."""
        fields = request.fields
        apns_id = fields.get("apns-id") or str(uuid4())
        token = request.path[len(PREFIX) + 1 :]
        accept = partial(self._accept, token, apns_id, request)
        refuse = partial(self._refuse, token, apns_id, request)
        try:
            fault = self._check(request, token)
        except Refused as refused:
            return refuse(refused.status, refused.reason)
        if fault is None or not self.attempts.fails(token, fault):
            return accept()
        return self._misbehave(fault, accept, refuse)

    def _check(self, request: Request, token: str) -> Fault | None:
        """Everything that Apple looks at; raises Refused. The fault asked for."""
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowed")
        if request.path[: len(PREFIX) + 1] != f"{PREFIX}/" or "/" in token:
            missing = request.path == PREFIX
            raise (
                Refused(400, "MissingDeviceToken")
                if missing
                else Refused(404, "BadPath")
            )
        if not token:
            raise Refused(400, "MissingDeviceToken")
        if request.repeated:
            raise Refused(400, "DuplicateHeaders")
        fields = request.fields
        apns_rules.check_id(
            fields.get("apns-id", "00000000-0000-0000-0000-000000000000")
        )
        scheduled = self._rules.scheduled("apns")
        if scheduled is not None:
            return faults.named(scheduled)
        topic = self._check_sender(request)
        apns_rules.check_headers(fields)
        push_type = fields.get("apns-push-type")
        apns_rules.check_topic(topic, push_type, self._rules.topics)
        apns_rules.check_size(request.body, topic, push_type)
        kind = (request.body, push_type, fields.get("apns-priority", "10"))
        if kind != self._passed:
            apns_rules.check_payload(*kind)
            self._passed = kind
        return self._fault_of(token)

    def _check_sender(self, request: Request) -> str | None:
        """The topic, of a sender known by token or by certificate."""
        topic = request.fields.get("apns-topic")
        certified: str | None = request.memory.get("topic")
        authorization = request.fields.get("authorization")
        if certified is None or authorization is not None:
            verdict = self._tokens.check(authorization)
            known = request.memory.setdefault("key_id", verdict.key_id)
            if known != verdict.key_id:
                raise Refused(403, "UnrelatedKeyIdInToken")
            request.memory["trusted"] = True
            return topic
        request.memory["trusted"] = True
        return topic or certified

    def _fault_of(self, token: str) -> Fault | None:
        chosen = self._rules.answers.get(token) if self._rules.answers else None
        if chosen is None and _HEX.fullmatch(token):
            return faults.named(token) if len(token) == 3 else None
        fault = faults.named(chosen or token)
        if fault is None:
            raise Refused(400, "BadDeviceToken")
        if fault.name == "wrong-environment" and self.environment == "development":
            return None
        return fault

    def _accept(self, token: str, apns_id: str, request: Request) -> Answer:
        fields = request.fields
        self._counters.count("apns_accepted")
        headers = tuple(map(fields.get, APNS_HEADERS))
        mark = fields.get("apns-collapse-id")
        self._inbox.record(
            "apns", self.environment, token, apns_id, mark, headers, request.body
        )
        return Answer(200, self._headers(apns_id))

    def _refuse(
        self,
        token: str,
        apns_id: str,
        request: Request,
        status: int | None,
        reason: str,
        more: Headers = (),
        *,
        at: float | None = None,
    ) -> Answer:
        self._counters.count("apns_refused")
        headers = tuple(map(request.fields.get, APNS_HEADERS))
        mark = request.fields.get("apns-collapse-id")
        self._inbox.record(
            "apns",
            self.environment,
            token,
            apns_id,
            mark,
            headers,
            request.body,
            status,
            reason,
        )
        body: dict[str, object] = {"reason": reason}
        if at is not None:
            body["timestamp"] = int(at * 1000)
        return Answer(
            status or 0, self._headers(apns_id) + more, json.dumps(body).encode()
        )

    def _headers(self, apns_id: str) -> Headers:
        if self.environment == "development":
            return (("apns-id", apns_id), ("apns-unique-id", str(uuid4())))
        return (("apns-id", apns_id),)

    def _misbehave(
        self, fault: Fault, accept: Callable[[], Answer], refuse: Callable[..., Answer]
    ) -> Answer:
        if fault.name in faults.TRICKS:
            refused = refuse(None, fault.name)
            return Answer(
                200, refused.headers[:1], b"", Trick(faults.TRICKS[fault.name])
            )
        if fault.name in faults.ACCEPTING:
            trick = Trick(faults.ACCEPTING[fault.name], accept, self._rules.slow_s)
            return Answer(200, trick=trick)
        if fault.name.startswith("garbage"):
            status = 400 if fault.name == "garbage-400" else 200
            answer = refuse(status, "garbage")
            return answer._replace(body=b'{"reason": "Bad\xff')
        if fault.name == "answer":
            return refuse(fault.status, fault.reason or "Unknown")
        return self._fail(fault, refuse)

    def _fail(self, fault: Fault, refuse: Callable[..., Answer]) -> Answer:
        status, reason = ERRORS[fault.name]
        more = faults.retry_after(fault, self._rules.retry_after_s)
        at = None
        if status == 410:
            at = time.time() - (YEAR_S if fault.name == "unregistered-old" else 0)
        answer: Answer = refuse(status, reason, more, at=at)
        if fault.name == "slow-body":
            trick = Trick("drip", lambda: answer, self._rules.slow_s)
            return answer._replace(trick=trick)
        return answer
