"""Pushes to iPhones, iPads and Macs through APNs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

from config import Settings
from models.pushes import Notification, Target
from notifier.channels import ProviderTokens, Report, Troubles
from notifier.channels.apns import outcomes, payload
from notifier.channels.apns.credentials import ClientCertificate, SigningKey
from notifier.channels.apns.library import explain
from notifier.channels.apns.payload import ApnsPayload
from notifier.channels.authorization import (
    Authorization,
    TokenAuthorization,
)
from notifier.channels.batch import PushBatch, outcome_of, wait_for_all
from notifier.channels.header_text import is_header_text
from notifier.channels.operator_alarm import Alarm
from notifier.channels.route import Dialect, Route
from notifier.channels.tls import http2_context
from notifier.http2 import Client, Head, Response
from notifier.outcome import ChannelDown, Kind, Outcome

PRODUCTION, SANDBOX = "production", "sandbox"
OTHER = {PRODUCTION: SANDBOX, SANDBOX: PRODUCTION}
# Devices name their app, so the number of topics is unbounded.
MAX_ROUTES = 200
MAX_TOPIC = 256
# How often a token, bad in its own environment, is retried while the other is away.
OTHER_ENVIRONMENT_TRIES = 3


class Apns:
    """The APNs channel; each environment and app has a route of its own."""

    def __init__(
        self,
        clients: Mapping[str, Client],
        authorization: Authorization,
        *,
        topic: str,
        troubles: Troubles,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._clients = dict(clients)
        self._authorization = authorization
        # The authorization, if it is by certificate.
        self._certificate = certificate
        self._topic = topic
        self._troubles = troubles
        self._dialect = Dialect(
            self._read,
            _is_token_expired,
            explain=explain,
            is_route_rate_limit=outcomes.is_route_rate_limit,
        )
        self._routes: dict[tuple[str, str], Route] = {}
        # All routes of a host are out of reach together, and members name their topics.
        self._reach = {
            name: Alarm(f"apns {client.authority}", troubles)
            for name, client in clients.items()
        }

    def render(self, notification: Notification) -> ApnsPayload:
        return payload.render(notification)

    async def send(
        self, rendered: ApnsPayload, targets: Sequence[Target], report: Report
    ) -> None:
        groups: dict[tuple[str, str | None], list[Target]] = defaultdict(list)
        for target in targets:
            groups[target.environment, target.app].append(target)
        suffix = rendered.topic_suffix
        # The failure of one app or environment does not delay the others.
        await wait_for_all(
            self._push(
                rendered,
                environment,
                # Devices are registered with the whole topic.
                (app or self._topic).removesuffix(suffix) + suffix,
                group,
                report,
            )
            for (environment, app), group in groups.items()
        )
        if self._certificate is not None:
            await self._certificate.warn()

    async def _push(
        self,
        rendered: ApnsPayload,
        environment: str,
        topic: str,
        targets: Sequence[Target],
        report: Report,
    ) -> None:
        if not _is_topic(topic):
            report(targets, Outcome(Kind.SUSPECT, "BadTopic"))
            return
        environment = environment if environment in OTHER else PRODUCTION
        bad_tokens: list[tuple[Target, Outcome]] = []

        def end(ended: Sequence[Target], outcome: Outcome) -> None:
            if outcome.reason == outcomes.BAD_DEVICE_TOKEN:
                bad_tokens.extend((target, outcome) for target in ended)
            else:
                report(ended, outcome)

        route = self._route(environment, topic)
        await route.push(_batch(rendered, topic, targets, end))
        if bad_tokens:
            other = OTHER[environment]
            await self._try_other_environment(
                rendered, other, topic, dict(bad_tokens), report
            )

    async def _try_other_environment(
        self,
        rendered: ApnsPayload,
        environment: str,
        topic: str,
        bad_tokens: Mapping[Target, Outcome],
        report: Report,
    ) -> None:
        """Send once to the other environment: a bad token may belong there."""

        def end(ended: Sequence[Target], outcome: Outcome) -> None:
            if outcome.kind is Kind.ACCEPTED:
                report(ended, outcome._replace(environment=environment))
                return
            for target in ended:
                is_later = outcome.kind is Kind.LATER
                if is_later and target.attempts < OTHER_ENVIRONMENT_TRIES:
                    report((target,), outcome)
                else:
                    report((target,), bad_tokens[target])

        batch = _batch(rendered, topic, list(bad_tokens), end)
        try:
            # A key for one environment only is no alarm: this is only an attempt.
            await self._route(environment, topic).push(batch, with_alarm=False)
        except ChannelDown as down:
            batch.end_unfinished(outcome_of(down))

    def _route(self, environment: str, topic: str) -> Route:
        route = self._routes.get((environment, topic))
        if route is None:
            self._evict_route()
            route = self._routes[environment, topic] = Route(
                f"apns {environment} {topic}",
                self._clients[environment],
                self._authorization,
                # Any member can register a device with another app.
                self._dialect._replace(is_by_choice=topic != self._topic),
                self._troubles,
                reach=self._reach[environment],
            )
        return route

    def _evict_route(self) -> None:
        if len(self._routes) >= MAX_ROUTES:
            for key, route in self._routes.items():
                if not route.breaker.is_open:
                    del self._routes[key]
                    return

    def _read(self, response: Response, target: Target) -> Outcome:
        own_app = target.app is not None and target.app != self._topic
        return outcomes.read(response, own_app=own_app)

    @property
    def awaits_token(self) -> bool:
        return self._authorization.is_awaited

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()


def _batch(
    rendered: ApnsPayload, topic: str, targets: Sequence[Target], report: Report
) -> PushBatch:
    head = partial(_head, topic, rendered.push_type, rendered.priority)
    return PushBatch(head, rendered.requests(targets), targets, report)


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


def _is_topic(text: str) -> bool:
    return len(text) <= MAX_TOPIC and is_header_text(text)


def _is_token_expired(response: Response, outcome: Outcome) -> bool:
    return outcome.reason == outcomes.EXPIRED_PROVIDER_TOKEN


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Apns | None:
    """The channel of the settings; None without a topic, or a key or certificate.

    Raises ValueError or OSError naming what cannot be used.
    """
    if settings.apns_topic is None or not (
        settings.apns_key_file or settings.apns_cert_file
    ):
        return None
    if not _is_topic(settings.apns_topic):
        raise ValueError(f"{settings.apns_topic!r} cannot be a topic of APNs")
    tls = http2_context(settings.ca_file, cert_file=settings.apns_cert_file)
    certificate = None
    if settings.apns_cert_file is not None:
        certificate = ClientCertificate(settings.apns_cert_file, troubles)
    urls = {PRODUCTION: settings.apns_url, SANDBOX: settings.apns_sandbox_url}
    clients = {
        environment: Client(
            url,
            tls=tls,
            # Apple allows more streams only after it has seen a valid token.
            one_stream_until_answer=settings.apns_cert_file is None,
            proxy_url=settings.push_proxy,
        )
        for environment, url in urls.items()
    }
    return Apns(
        clients,
        certificate or _by_key(settings, tokens),
        topic=settings.apns_topic,
        troubles=troubles,
        certificate=certificate,
    )


def _by_key(settings: Settings, tokens: ProviderTokens) -> Authorization:
    key = SigningKey(
        cast(Path, settings.apns_key_file),
        key_id=settings.apns_key_id or "",
        team_id=settings.apns_team_id or "",
    )
    return TokenAuthorization(tokens, key.name, key.mint)
