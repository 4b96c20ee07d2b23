"""Browsers, and phones behind UnifiedPush: pushes to any push service (RFC 8030)."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from config import Settings, vapid
from models import subscriptions
from models.pushes import Notification, Target
from models.subscriptions import Subscription
from notifier.channels import (
    Channel,
    CredentialsRefused,
    ProviderTokens,
    Report,
    Troubles,
)
from notifier.channels.misconfigured import Misconfigured
from notifier.channels.route import Dialect, PushBatch
from notifier.channels.tls import client_context
from notifier.channels.webpush import outcomes, payload
from notifier.channels.webpush.credentials import Signer
from notifier.channels.webpush.origins import Origins
from notifier.channels.webpush.payload import WebpushPayload
from notifier.channels.webpush.resolver import PrivateAddress, Resolver
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind, Outcome

# After so many subscriptions, some milliseconds, the event loop has its turn.
AT_ONCE = 16

Addressee = tuple[Target, Subscription]


class Webpush:
    """Pushes to subscriptions; push services know nothing of one another's troubles."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def render(self, notification: Notification) -> WebpushPayload:
        return payload.render(notification)

    async def send(
        self, rendered: WebpushPayload, targets: Sequence[Target], report: Report
    ) -> None:
        groups: dict[str, list[Addressee]] = defaultdict(list)
        for number, target in enumerate(targets):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                subscription = subscriptions.parse(target.token)
            except ValueError as problem:
                report(target, Outcome(Kind.SUSPECT, str(problem)))
            else:
                groups[subscription.origin].append((target, subscription))
        async with asyncio.TaskGroup() as tasks:
            for origin, group in groups.items():
                tasks.create_task(self._push(origin, rendered, group, report))

    async def _push(
        self,
        origin: str,
        rendered: WebpushPayload,
        addressees: Sequence[Addressee],
        report: Report,
    ) -> None:
        """Push to the devices of one service; its outage ends here, as LATER."""
        requests: list[Request] = []
        targets = [target for target, _ in addressees]
        batch = _WebpushBatch(requests, targets, report)
        first = addressees[0][1]
        try:
            async with self._origins.use(origin, first.host, first.port) as service:
                for start in range(0, len(addressees), AT_ONCE):
                    some = addressees[start : start + AT_ONCE]
                    requests.extend(rendered.request(*addressee) for addressee in some)
                    await asyncio.sleep(0)
                # Operators are told of the browsers' services only: an alarm from a
                # server that any user can name would be a toy.
                await service.route.push(batch, quietly=not service.is_known)
        except PrivateAddress as refused:
            batch.end_rest(Outcome(Kind.SUSPECT, str(refused)))
        except CredentialsRefused as refused:
            reason, pause_s = str(refused), refused.retry_after_s
            batch.end_rest(Outcome(Kind.CREDENTIALS, reason, pause_s))
        except ChannelDown as down:
            batch.end_rest(Outcome(Kind.LATER, down.reason, down.retry_after_s))

    async def close(self) -> None:
        await self._origins.close()


class _WebpushBatch(PushBatch):
    """Push services accept with 201, which the route leaves to the dialect."""

    def __init__(
        self, requests: Sequence[Request], targets: Sequence[Target], report: Report
    ) -> None:
        super().__init__(_head, requests, targets, report)

    def end(self, index: int, outcome: Outcome) -> None:
        self.accepted |= outcome.kind is Kind.ACCEPTED
        super().end(index, outcome)


@lru_cache(maxsize=256)
def _head(authorization: str | None) -> Head:
    return Head(
        (
            ("authorization", authorization or ""),
            ("content-encoding", "aes128gcm"),
            ("content-type", "application/octet-stream"),
        )
    )


def _is_stale(response: Response, outcome: Outcome) -> bool:
    """Never: our signatures are renewed long before their time."""
    return False


DIALECT = Dialect(outcomes.read, _is_stale)


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Channel | None:
    """The channel of the settings; None when they say nobody to be contacted."""
    if settings.vapid_subject is None:
        return None
    try:
        # Members bring the browsers' public services, whatever ours are like.
        tls = client_context(settings.ca_file, is_alone=False)
        signer = Signer(vapid.private_key(settings), settings.vapid_subject)
    except (ValueError, OSError) as problem:
        return Misconfigured("webpush", str(problem), troubles)
    resolver = Resolver(settings.webpush_allow)
    return Webpush(Origins(signer, DIALECT, resolver, tls=tls, troubles=troubles))
