"""Firebase Cloud Messaging, HTTP v1: one message, checked as Google checks it."""

import re
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sandbox import faults, fcm_errors, fcm_schema, keys
from sandbox.exchange import JSON, Answer, Request, Trick
from sandbox.faults import Attempts, Fault
from sandbox.fcm_errors import Refusal
from sandbox.inbox import Inbox
from sandbox.oauth import AccessTokens
from sandbox.push import FCM_HEADERS
from sandbox.rules import Counters, Rules

_PATH = re.compile(r"/v1/projects/([^/:]+)/messages:send")


class Fcm:
    """Google's side of a push."""

    def __init__(
        self, tokens: AccessTokens, rules: Rules, counters: Counters, inbox: Inbox
    ) -> None:
        self.attempts = Attempts()
        self._tokens = tokens
        self._rules = rules
        self._counters = counters
        self._inbox = inbox
        self._sent = 0
        self._start = f"{int(time.time() * 1e6):x}{secrets.token_hex(3)}"

    def push(self, request: Request) -> Answer:
        """The answer to one request; what is accepted is in the inbox."""
        message: dict[str, Any] = {}
        try:
            self._check_sender(request)
            message, dry = fcm_schema.read(request.body)
            fault = self._fault_of(fcm_schema.address(message))
        except Refusal as refusal:
            return self._refuse(message, request, refusal)
        if dry:
            return self._ok(self._name())
        accept = partial(self._accept, message, request)
        if fault is None or not self.attempts.fails(message.get("token", ""), fault):
            return accept()
        return self._misbehave(fault, accept, partial(self._refuse, message, request))

    def _check_sender(self, request: Request) -> None:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise fcm_errors.not_found("The requested URL was not found.")
        if request.method != "POST":
            raise fcm_errors.not_found("Method not found.")
        # An outage strikes before anybody is asked for a name.
        if self._rules.outage:
            return
        self._tokens.check(request.fields.get("authorization"))
        if found[1] != keys.PROJECT:
            raise fcm_errors.foreign_project(found[1])

    def _fault_of(self, token: str) -> Fault | None:
        chosen = self._rules.scheduled("fcm") or (
            self._rules.answers.get(token) if self._rules.answers else None
        )
        return faults.named(chosen or token)

    def _accept(self, message: dict[str, Any], request: Request) -> Answer:
        self._counters.count("fcm_accepted")
        name = self._name()
        self._record(message, request, name, 200, None)
        return self._ok(name)

    def _refuse(
        self, message: dict[str, Any], request: Request, refusal: Refusal
    ) -> Answer:
        self._counters.count("fcm_refused")
        self._record(message, request, "", refusal.status, refusal.reason)
        return Answer(refusal.status or 0, JSON + refusal.headers, refusal.body())

    def _record(
        self,
        message: dict[str, Any],
        request: Request,
        name: str,
        status: int | None,
        reason: str | None,
    ) -> None:
        self._inbox.record(
            "fcm",
            "production",
            fcm_schema.address(message),
            name,
            fcm_schema.mark(message),
            tuple(map(request.fields.get, FCM_HEADERS)),
            request.body,
            status,
            reason,
        )

    def _name(self) -> str:
        self._sent += 1
        return f"projects/{keys.PROJECT}/messages/0:{self._start}%{self._sent:x}"

    def _ok(self, name: str) -> Answer:
        return Answer(200, JSON, b'{\n  "name": "%s"\n}\n' % name.encode())

    def _misbehave(
        self,
        fault: Fault,
        accept: Callable[[], Answer],
        refuse: Callable[[Refusal], Answer],
    ) -> Answer:
        if fault.name in faults.TRICKS:
            refuse(Refusal(None, fault.name))
            return Answer(200, JSON, b"", Trick(faults.TRICKS[fault.name]))
        if fault.name in faults.ACCEPTING:
            trick = Trick(faults.ACCEPTING[fault.name], accept, self._rules.slow_s)
            return Answer(200, trick=trick)
        if fault.name.startswith("garbage"):
            status = 400 if fault.name == "garbage-400" else 200
            return refuse(Refusal(status, "garbage"))._replace(
                body=b'{"name": "pro\xff'
            )
        more = faults.retry_after(fault, self._rules.retry_after_s)
        answer = refuse(fcm_errors.of(fault, more))
        if fault.name == "slow-body":
            trick = Trick("drip", lambda: answer, self._rules.slow_s)
            return answer._replace(trick=trick)
        return answer
