"""Android's phones, and whatever else hangs on FCM: pushes through Google."""

from collections.abc import Sequence
from functools import lru_cache, partial
from urllib.parse import quote, urlsplit

from pyfcm import FCMNotification

from config import Settings
from models.pushes import Notification, Target
from notifier.channels import Channel, ProviderTokens, Report, Troubles
from notifier.channels.authorization import Authorization, ByToken
from notifier.channels.fcm import credentials, outcomes
from notifier.channels.fcm.credentials import TokenEndpoint
from notifier.channels.fcm.payload import FcmPayload, Renderer
from notifier.channels.fcm.quota import Quota
from notifier.channels.misconfigured import Misconfigured
from notifier.channels.route import Dialect, PushBatch, Route, all_of
from notifier.channels.tls import client_context
from notifier.http2 import Client, Head, Response
from notifier.outcome import Outcome

# /v1/projects: pyfcm knows where Google has put it.
PROJECTS_PATH = urlsplit(FCMNotification.FCM_END_POINT_BASE).path

# A project's 600,000 messages a minute.
QUOTA_PER_S = 10_000.0
PART = 100


class Fcm:
    """Pushes to the apps of one Firebase project, over one route."""

    def __init__(
        self,
        client: Client,
        authorization: Authorization,
        renderer: Renderer,
        *,
        project_id: str,
        troubles: Troubles,
        quota: Quota,
        token_endpoint: TokenEndpoint | None = None,
    ) -> None:
        self._client = client
        self._quota = quota
        self._token_endpoint = token_endpoint
        self._renderer = renderer
        path = f"{PROJECTS_PATH}/{quote(project_id, '')}/messages:send"
        self._head = partial(_head, path)
        self._route = Route(
            f"fcm {project_id}"[:200],
            client,
            authorization,
            DIALECT,
            troubles,
        )

    def render(self, notification: Notification) -> FcmPayload:
        return self._renderer.render(notification)

    async def send(
        self, rendered: FcmPayload, targets: Sequence[Target], report: Report
    ) -> None:
        if not self._quota.try_take(len(targets)):
            await self._push(rendered, targets, report)
            return
        # In small parts, so that a small conversation gets its turn among them.
        parts = (targets[n : n + PART] for n in range(0, len(targets), PART))
        await all_of(self._push_in_turn(rendered, part, report) for part in parts)

    async def _push_in_turn(
        self, rendered: FcmPayload, targets: Sequence[Target], report: Report
    ) -> None:
        await self._quota.take(len(targets))
        await self._push(rendered, targets, report)

    async def _push(
        self, rendered: FcmPayload, targets: Sequence[Target], report: Report
    ) -> None:
        requests = [rendered.request(target) for target in targets]
        await self._route.push(PushBatch(self._head, requests, targets, report))

    async def close(self) -> None:
        await self._client.close()
        if self._token_endpoint is not None:
            await self._token_endpoint.close()


@lru_cache(maxsize=16)
def _head(path: str, token: str | None) -> Head:
    headers = (
        ("authorization", f"Bearer {token}"),
        ("content-type", "application/json"),
    )
    return Head(headers, path)


def _read(response: Response, target: Target) -> Outcome:
    return outcomes.read(response, attempts=target.attempts)


def _is_stale(response: Response, outcome: Outcome) -> bool:
    third_party = outcome.reason == outcomes.THIRD_PARTY_AUTH_ERROR
    return response.status == 401 and not third_party


DIALECT = Dialect(
    read=_read,
    is_stale=_is_stale,
    device_only=frozenset({outcomes.THIRD_PARTY_AUTH_ERROR}),
    is_route_wide=outcomes.is_route_wide,
    is_server_error=outcomes.is_server_error,
)


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Channel | None:
    """The channel of the settings; None when they have nothing about FCM."""
    path = settings.fcm_credentials_file
    if path is None:
        return None
    try:
        account = credentials.read(path)
        tls = client_context(settings.ca_file)
    except (ValueError, OSError) as problem:
        return Misconfigured("fcm", str(problem), troubles)
    connect = partial(Client, tls=tls, proxy_url=settings.push_proxy)
    google = TokenEndpoint(connect(account.token_origin), account)
    return Fcm(
        connect(settings.fcm_url),
        ByToken(tokens, account.name, google.mint),
        Renderer(str(path), account.project_id),
        project_id=account.project_id,
        troubles=troubles,
        # Processes don't know of each other's pushes: each has its part of the quota.
        quota=Quota(QUOTA_PER_S / max(settings.push_slots, 1)),
        token_endpoint=google,
    )
