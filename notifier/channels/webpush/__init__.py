"""Pushes to browsers and UnifiedPush apps, over any push service (RFC 8030)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from config import Settings, vapid
from models import subscriptions
from models.pushes import Notification, Target
from models.subscriptions import Subscription
from notifier.channels import CredentialsRefused, ProviderTokens, Report, Troubles
from notifier.channels.batch import PushBatch
from notifier.channels.route import Dialect
from notifier.channels.tls import http2_context
from notifier.channels.webpush import outcomes, payload, push_services, strangers
from notifier.channels.webpush.credentials import Signer
from notifier.channels.webpush.missing_hosts import MissingHosts
from notifier.channels.webpush.payload import WebpushPayload
from notifier.channels.webpush.push_services import PushServices
from notifier.channels.webpush.resolver import PrivateAddress, Resolver
from notifier.channels.webpush.strangers import Strangers
from notifier.http2 import Head, Request
from notifier.outcome import ChannelDown, Kind, Outcome

# After this many subscriptions, a few milliseconds, other tasks of the loop may run.
YIELD_EVERY = 16

Addressee = tuple[Target, Subscription]


class Webpush:
    """The web push channel; the failure of one push service does not affect others."""

    awaits_token = False

    def __init__(self, services: PushServices, hosts: MissingHosts) -> None:
        self._services = services
        self._hosts = hosts
        self._strangers = Strangers()

    def render(self, notification: Notification) -> WebpushPayload:
        return payload.render(notification)

    async def send(
        self, rendered: WebpushPayload, targets: Sequence[Target], report: Report
    ) -> None:
        groups: dict[str, list[Addressee]] = defaultdict(list)
        for number, target in enumerate(targets):
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            try:
                subscription = subscriptions.parse(target.token)
            except ValueError as problem:
                report((target,), Outcome(Kind.SUSPECT, str(problem)))
            else:
                groups[subscription.origin].append((target, subscription))
        async with asyncio.TaskGroup() as tasks:
            for origin, group in groups.items():
                is_known = push_services.is_known_host(group[0][1].host)
                push = self._push if is_known else self._push_to_stranger
                tasks.create_task(push(origin, rendered, group, report))

    async def _push(
        self,
        origin: str,
        rendered: WebpushPayload,
        addressees: Sequence[Addressee],
        report: Report,
    ) -> None:
        await self._send(origin, _WebpushBatch(rendered, addressees, report))

    async def _push_to_stranger(
        self,
        origin: str,
        rendered: WebpushPayload,
        addressees: Sequence[Addressee],
        report: Report,
    ) -> None:
        """The same to a server that may hang, so it gets little of everything."""
        report = strangers.giving_up(report)
        targets = [target for target, _ in addressees]
        with self._strangers.admit(origin, targets, report) as attempt:
            devices = {target.device_id for target in attempt.targets}
            admitted = [each for each in addressees if each[0].device_id in devices]
            if not admitted:
                return
            batch = _WebpushBatch(rendered, admitted, report, attempt.answered)
            try:
                async with attempt.patience():
                    await self._send(origin, batch)
            except TimeoutError:
                batch.end_unfinished(attempt.silence())

    async def _send(self, origin: str, batch: "_WebpushBatch") -> None:
        """Push to the devices of one service; its outage makes their outcome LATER."""
        target, first = batch.addressees[0]
        users = {target.user_id for target in batch.targets}
        asker = target.user_id if len(users) == 1 else None
        where = origin, first.host, first.port
        try:
            async with self._services.use(*where, asker) as service:
                # Any user can name a server, so only known services raise an alarm.
                await batch.encrypt()
                await service.route.push(batch, with_alarm=service.is_known)
                if shorter := batch.cut():
                    await shorter.encrypt()
                    await service.route.push(shorter, with_alarm=service.is_known)
                await self._hosts.reached(first.host)
        except PrivateAddress as refused:
            batch.end_unfinished(Outcome(Kind.SUSPECT, str(refused)))
        except (CredentialsRefused, ChannelDown) as error:
            batch.end_unfinished(await self._hosts.outcome(first.host, error))

    async def close(self) -> None:
        await self._services.close()


class _WebpushBatch(PushBatch):
    """A batch for push services, which accept with 201 and not with 200."""

    def __init__(
        self,
        rendered: WebpushPayload,
        addressees: Sequence[Addressee],
        report: Report,
        on_answer: Callable[[Target], None] | None = None,
    ) -> None:
        self._requests: list[Request] = []
        targets = [target for target, _ in addressees]
        super().__init__(head_of, self._requests, targets, report)
        self.addressees = addressees
        self._rendered = rendered
        self._on_answer = on_answer
        # Those whose text the service takes only if it is shorter.
        self._too_large: list[Addressee] = []
        # The batch that they are in.
        self._shorter: _WebpushBatch | None = None

    async def encrypt(self) -> None:
        """Make the requests; other tasks of the loop run in between."""
        for start in range(0, len(self.addressees), YIELD_EVERY):
            some = self.addressees[start : start + YIELD_EVERY]
            self._requests.extend(self._rendered.request(*each) for each in some)
            await asyncio.sleep(0)

    def accept(self, indexes: Sequence[int]) -> None:
        super().accept(indexes)
        for index in indexes:
            self._answered(index)

    def end(self, index: int, outcome: Outcome) -> None:
        self.accepted |= outcome.kind is Kind.ACCEPTED
        self._answered(index)
        if self._rendered.shorter is not None and outcomes.is_too_large(outcome):
            self.ended[index] = 1
            self._too_large.append(self.addressees[index])
        else:
            super().end(index, outcome)

    def _answered(self, index: int) -> None:
        if self._on_answer is not None:
            self._on_answer(self.targets[index])

    def end_unfinished(
        self, outcome: Outcome, among: Iterable[int] | None = None
    ) -> None:
        # Nothing was answered.
        self._on_answer, on_answer = None, self._on_answer
        super().end_unfinished(outcome, among)
        self._on_answer = on_answer
        if among is None and self._too_large:
            self.report([target for target, _ in self._too_large], outcome)
            self._too_large = []
        if among is None and self._shorter is not None:
            self._shorter.end_unfinished(outcome)

    def cut(self) -> "_WebpushBatch | None":
        """A batch for those whose text was too long, with a shorter one.

        It ends with this one.
        """
        if self._rendered.shorter is None or not self._too_large:
            return None
        some, self._too_large = self._too_large, []
        shorter = self._rendered.shorter
        self._shorter = _WebpushBatch(shorter, some, self.report, self._on_answer)
        return self._shorter


@lru_cache(maxsize=256)
def head_of(authorization: str | None) -> Head:
    return Head(
        (
            ("authorization", authorization or ""),
            ("content-encoding", "aes128gcm"),
            ("content-type", "application/octet-stream"),
        )
    )


# Our signatures are renewed long before they expire.
DIALECT = Dialect(outcomes.read, is_by_choice=True)


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Webpush | None:
    """The channel of the settings; None without a VAPID subject.

    Raises ValueError or OSError naming the file that cannot be used.
    """
    if settings.vapid_subject is None:
        return None
    # Members bring the browsers' public services, even if ours have a private CA.
    tls = http2_context(settings.ca_file, with_public_authorities=True)
    signer = Signer(vapid.private_key(settings), settings.vapid_subject)
    resolver = Resolver(settings.webpush_allow, is_known=push_services.is_known_host)
    services = PushServices(signer, DIALECT, resolver, tls=tls, troubles=troubles)
    return Webpush(services, MissingHosts(resolver, troubles))
