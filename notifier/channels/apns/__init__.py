"""Apple's phones: pushes through APNs."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial

from config import Settings
from models.pushes import Notification, Target
from notifier.channels import Channel, ProviderTokens, Report, Troubles
from notifier.channels.apns import outcomes, payload
from notifier.channels.apns.credentials import SigningKey
from notifier.channels.apns.library import explain
from notifier.channels.apns.payload import ApnsPayload
from notifier.channels.authorization import Authorization, ByCertificate, ByToken
from notifier.channels.misconfigured import Misconfigured
from notifier.channels.route import Dialect, PushBatch, Route, all_of
from notifier.channels.tls import client_context
from notifier.http2 import Client, Head, Response
from notifier.outcome import ChannelDown, Kind, Outcome

PRODUCTION, SANDBOX = "production", "sandbox"
OTHER = {PRODUCTION: SANDBOX, SANDBOX: PRODUCTION}
# Apps are named by devices, so there may be any number of them.
MAX_ROUTES = 200
# A token that its own environment calls bad waits so often for the other one.
TRIES_ELSEWHERE = 3

_is_header_text = re.compile(r"[!-~]{1,256}").fullmatch


class Apns:
    """Pushes to iPhones and their like; one route for each environment and app."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        authorization: Authorization,
        *,
        topic: str,
        troubles: Troubles,
    ) -> None:
        self._clients = dict(clients)
        self._authorization = authorization
        self._topic = topic
        self._troubles = troubles
        self._dialect = Dialect(
            self._read,
            _is_stale,
            explain=explain,
            is_route_wide=outcomes.is_route_wide,
        )
        self._routes: dict[tuple[str, str], Route] = {}

    def render(self, notification: Notification) -> ApnsPayload:
        return payload.render(notification)

    async def send(
        self, rendered: ApnsPayload, targets: Sequence[Target], report: Report
    ) -> None:
        groups: dict[tuple[str, str | None], list[Target]] = defaultdict(list)
        for target in targets:
            groups[target.environment, target.app].append(target)
        # One app or environment in trouble does not keep the others waiting.
        await all_of(
            self._push(rendered, environment, app or self._topic, group, report)
            for (environment, app), group in groups.items()
        )

    async def _push(
        self,
        rendered: ApnsPayload,
        environment: str,
        topic: str,
        targets: Sequence[Target],
        report: Report,
    ) -> None:
        if not _is_header_text(topic):
            for target in targets:
                report(target, Outcome(Kind.SUSPECT, "BadTopic"))
            return
        environment = environment if environment in OTHER else PRODUCTION
        strays: list[tuple[Target, Outcome]] = []

        def end(target: Target, outcome: Outcome) -> None:
            if outcome.reason == outcomes.BAD_DEVICE_TOKEN:
                strays.append((target, outcome))
            else:
                report(target, outcome)

        route = self._route(environment, topic)
        await route.push(_batch(rendered, topic, targets, end))
        if strays:
            other = OTHER[environment]
            await self._try_elsewhere(rendered, other, topic, dict(strays), report)

    async def _try_elsewhere(
        self,
        rendered: ApnsPayload,
        environment: str,
        topic: str,
        strays: Mapping[Target, Outcome],
        report: Report,
    ) -> None:
        """A bad token may only be one of the other environment: ask there, once."""

        def end(target: Target, outcome: Outcome) -> None:
            if outcome.kind is Kind.ACCEPTED:
                report(target, outcome._replace(environment=environment))
            elif outcome.kind is Kind.LATER and target.attempts < TRIES_ELSEWHERE:
                report(target, outcome)
            else:
                report(target, strays[target])

        batch = _batch(rendered, topic, list(strays), end)
        try:
            # A key for one environment only is no trouble of the operator's here.
            await self._route(environment, topic).push(batch, quietly=True)
        except ChannelDown as down:
            batch.end_rest(Outcome(Kind.LATER, down.reason, down.retry_after_s))

    def _route(self, environment: str, topic: str) -> Route:
        route = self._routes.get((environment, topic))
        if route is None:
            self._forget_a_route()
            route = self._routes[environment, topic] = Route(
                f"apns {environment} {topic}"[:200],
                self._clients[environment],
                self._authorization,
                self._dialect,
                self._troubles,
            )
        return route

    def _forget_a_route(self) -> None:
        if len(self._routes) >= MAX_ROUTES:
            for key, route in self._routes.items():
                if not route.breaker.is_open:
                    del self._routes[key]
                    return

    def _read(self, response: Response, target: Target) -> Outcome:
        own_app = target.app is not None and target.app != self._topic
        return outcomes.read(response, own_app=own_app)

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()


def _batch(
    rendered: ApnsPayload, topic: str, targets: Sequence[Target], report: Report
) -> PushBatch:
    head = partial(_head, topic, rendered.push_type, rendered.priority)
    return PushBatch(head, [rendered.request(t) for t in targets], targets, report)


@lru_cache(maxsize=64)
def _head(topic: str, push_type: str, priority: str, token: str | None) -> Head:
    authorization = () if token is None else (("authorization", f"bearer {token}"),)
    return Head(
        (
            *authorization,
            ("apns-topic", topic),
            ("apns-push-type", push_type),
            ("apns-priority", priority),
        )
    )


def _is_stale(response: Response, outcome: Outcome) -> bool:
    return outcome.reason == outcomes.EXPIRED_PROVIDER_TOKEN


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Channel | None:
    """The channel of the settings; None when they have nothing about APNs."""
    if settings.apns_topic is None or not (
        settings.apns_key_file or settings.apns_cert_file
    ):
        return None
    try:
        if not _is_header_text(settings.apns_topic):
            raise ValueError(f"{settings.apns_topic!r} cannot be a topic of APNs")
        tls = client_context(settings.ca_file, cert_file=settings.apns_cert_file)
        authorization = _authorization(settings, tokens)
    except (ValueError, OSError) as problem:
        return Misconfigured("apns", str(problem), troubles)
    urls = {PRODUCTION: settings.apns_url, SANDBOX: settings.apns_sandbox_url}
    clients = {
        environment: Client(
            url,
            tls=tls,
            # Apple opens a connection for more only once it has seen a valid token.
            one_stream_until_answer=settings.apns_cert_file is None,
            proxy_url=settings.push_proxy,
        )
        for environment, url in urls.items()
    }
    return Apns(clients, authorization, topic=settings.apns_topic, troubles=troubles)


def _authorization(settings: Settings, tokens: ProviderTokens) -> Authorization:
    if settings.apns_key_file is None:
        return ByCertificate()
    key = SigningKey(
        settings.apns_key_file,
        key_id=settings.apns_key_id or "",
        team_id=settings.apns_team_id or "",
    )
    return ByToken(tokens, key.name, key.mint)
