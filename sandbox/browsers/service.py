"""A push service: one push, checked, decrypted and shown as the browser sees it."""

import json
import secrets
import time
from collections import Counter

from sandbox import faults
from sandbox.browsers import manners, options, rules
from sandbox.browsers.browser import Unreadable
from sandbox.browsers.manners import Refusal, WebpushRefusal
from sandbox.browsers.subscriptions import Subscription, Subscriptions, digest_of
from sandbox.browsers.vapid import Signatures
from sandbox.control.counters import Counters
from sandbox.control.inbox import Inbox
from sandbox.control.push import WEBPUSH_HEADERS, Push
from sandbox.control.rules import Rules
from sandbox.faults import AttemptCounter, Fault
from sandbox.wire.exchange import Headers, Request, Response

# After this many pushes that show nothing, Safari ends the subscription.
SILENT_PUSHES = 3
ENDED = "the browser has ended the subscription after three silent pushes"


class Webpush:
    """The push services of the browsers; each has its manners."""

    def __init__(
        self, secret: bytes, shared: Rules, counters: Counters, inbox: Inbox
    ) -> None:
        self.rules = shared
        self.counters = counters
        self.inbox = inbox
        self.attempts = AttemptCounter()
        self.subscriptions = Subscriptions(secret)
        # Pushes that showed nothing, by path.
        self.silent: Counter[str] = Counter()
        self._signatures = Signatures(counters)
        self._count = 0
        self._prefix = f"{int(time.time() * 1e6):x}{secrets.token_hex(3)}"

    def clear(self) -> None:
        """Forget what has been sent."""
        self.attempts.clear()
        self.silent.clear()
        self._signatures.clear()

    def push(self, request: Request) -> Response:
        """Check a push, add it to the inbox and respond."""
        origin = origin_of(request)
        found = self.subscriptions.find(origin, request.path)
        delivery = WebpushDelivery(self, request, origin, found)
        try:
            fault = self._check(request, delivery, found)
        except WebpushRefusal as problem:
            return delivery.refuse(
                manners.refusal(delivery.manner, problem.problem, problem.detail)
            )
        if fault is None or not self.attempts.fails(delivery.token, fault):
            return delivery.accept()
        return faults.inject(fault, delivery, self.rules.slow_s)

    def new_id(self) -> str:
        """An id for a message, unique across restarts."""
        self._count += 1
        return f"{self._prefix}-{self._count:x}"

    def _check(
        self,
        request: Request,
        delivery: "WebpushDelivery",
        found: Subscription | None,
    ) -> Fault | None:
        """Check the request, or raise WebpushRefusal; returns the fault to inject."""
        outage = self.rules.outage and self.rules.outage_of("webpush")
        if outage and outage.name not in faults.ACCEPTING:
            return outage
        if found is None:
            raise WebpushRefusal("unknown")
        if request.method != "POST":
            raise WebpushRefusal("method")
        manner, fields = found.manner, request.fields
        key = self._signatures.check(
            fields.get("authorization"),
            delivery.origin,
            contact=manner in rules.PARTICULAR,
        )
        if found.server_key and digest_of(key) != found.server_key:
            raise WebpushRefusal("other-key")
        delivery.ttl_s = rules.check(manner, fields, request.body)
        try:
            delivery.text = found.browser.decrypt(request.body)
        except Unreadable as problem:
            raise WebpushRefusal("unreadable", str(problem)) from None
        chosen = self.rules.fault_for("webpush", delivery.token)
        return outage or chosen or faults.parse(found.name)


class WebpushDelivery:
    """One push that is being handled."""

    __slots__ = (
        "_request",
        "_service",
        "manner",
        "origin",
        "text",
        "token",
        "ttl_s",
    )

    def __init__(
        self,
        service: Webpush,
        request: Request,
        origin: str,
        found: Subscription | None,
    ) -> None:
        self._service = service
        self._request = request
        self.origin = origin
        self.manner = "strict" if found is None else found.manner
        # A push to an unknown subscription is shown with the address it went to.
        self.token = origin + request.path if found is None else found.browser.token
        # Empty until the body has been decrypted.
        self.text = b""
        self.ttl_s = 0

    def accept(self) -> Response:
        service, name = self._service, self._service.new_id()
        reason = ENDED if self._is_ended() else None
        service.counters.count("webpush_ended" if reason else "webpush_accepted")
        self._add_to_inbox(name, 201, reason)
        headers: Headers = (("location", f"{self.origin}/message/{name}"),)
        if self.manner.startswith("mozilla") or self.manner == "strict":
            headers += (("ttl", str(self.ttl_s)),)
        return Response(201, headers)

    def refuse(self, refusal: Refusal) -> Response:
        self.record_refusal(refusal.response.status, refusal.reason)
        return refusal.response

    def record_refusal(self, status: int | None, reason: str) -> None:
        self._service.counters.count("webpush_refused")
        self._add_to_inbox("", status, reason)

    def fail(self, fault: Fault) -> Response:
        more = faults.retry_after(fault, self._service.rules.retry_after_s)
        return self.refuse(manners.for_fault(self.manner, fault, more))

    def headers(self) -> Headers:
        return ()

    def _is_ended(self) -> bool:
        """Whether Safari has ended the subscription; its service does not tell."""
        if self.manner != "apple":
            return False
        silent, path = self._service.silent, self._request.path
        if silent[path] >= SILENT_PUSHES:
            return True
        silent[path] += not is_shown(self.text)
        return False

    def _add_to_inbox(self, name: str, status: int | None, reason: str | None) -> None:
        inbox, fields = self._service.inbox, self._request.fields
        push = Push(
            inbox.next_seq(),
            time.time(),
            "webpush",
            self.manner,
            self.token,
            name,
            fields.get("topic"),
            inbox.intern(tuple(map(fields.get, WEBPUSH_HEADERS))),
            self.text,
            status,
            reason,
        )
        inbox.add(push)


def origin_of(request: Request) -> str:
    """The origin that the client has asked."""
    fields = request.fields
    return f"https://{fields.get(':authority') or fields.get('host', '')}"


def is_shown(text: bytes) -> bool:
    """Whether a browser shows something for this text.

    A declarative push is shown without a service worker; of all others, ours decides,
    which hands `options` to the browser.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return True
    if not isinstance(value, dict) or options.is_declarative(value):
        return True
    own = value.get("options", {})
    given = {"tag": value.get("tag"), **own} if isinstance(own, dict) else {}
    wrong = options.type_error(given)
    is_text = bool(value.get("title") or value.get("body"))
    return value.get("silent") is not True and is_text and wrong is None
