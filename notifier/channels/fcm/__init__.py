"""Pushes to Android phones, and to other apps behind FCM, through Google."""

from collections.abc import Sequence
from functools import lru_cache, partial
from urllib.parse import quote, urlsplit

from pyfcm import FCMNotification

from config import Settings
from models.pushes import Notification, Target
from notifier.channels import ProviderTokens, Report, Troubles
from notifier.channels.authorization import Authorization, TokenAuthorization
from notifier.channels.batch import PushBatch, wait_for_all
from notifier.channels.fcm import credentials, outcomes
from notifier.channels.fcm.credentials import TokenEndpoint
from notifier.channels.fcm.payload import FcmPayload, Renderer
from notifier.channels.fcm.quota import Quota
from notifier.channels.route import Dialect, Route
from notifier.channels.tls import http2_context
from notifier.http2 import Client, Head, Response
from notifier.outcome import Outcome

# /v1/projects
PROJECTS_PATH = urlsplit(FCMNotification.FCM_END_POINT_BASE).path

# Google allows a project 600,000 messages a minute.
QUOTA_PER_S = 10_000.0
CHUNK = 100


class Fcm:
    """The FCM channel: one route for the apps of one Firebase project."""

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
        self._authorization = authorization
        self._quota = quota
        self._token_endpoint = token_endpoint
        self._renderer = renderer
        path = f"{PROJECTS_PATH}/{quote(project_id, '')}/messages:send"
        self._head = partial(_head, path)
        self._route = Route(
            f"fcm {project_id}",
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
        # In chunks, so that pushes of small conversations go in between.
        chunks = (targets[n : n + CHUNK] for n in range(0, len(targets), CHUNK))
        await wait_for_all(
            self._push_within_quota(rendered, chunk, report) for chunk in chunks
        )

    async def _push_within_quota(
        self, rendered: FcmPayload, targets: Sequence[Target], report: Report
    ) -> None:
        await self._quota.take(len(targets))
        await self._push(rendered, targets, report)

    async def _push(
        self, rendered: FcmPayload, targets: Sequence[Target], report: Report
    ) -> None:
        requests = rendered.requests(targets)
        await self._route.push(PushBatch(self._head, requests, targets, report))

    @property
    def awaits_token(self) -> bool:
        return self._authorization.is_awaited

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


def _is_token_expired(response: Response, outcome: Outcome) -> bool:
    third_party = outcome.reason == outcomes.THIRD_PARTY_AUTH_ERROR
    return response.status == 401 and not third_party


DIALECT = Dialect(
    read=_read,
    is_token_expired=_is_token_expired,
    device_reasons=frozenset({outcomes.THIRD_PARTY_AUTH_ERROR}),
    is_route_rate_limit=outcomes.is_route_rate_limit,
    is_server_error=outcomes.is_server_error,
)


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Fcm | None:
    """The channel of the settings; None without a service account.

    Raises ValueError or OSError naming the file that cannot be used.
    """
    path = settings.fcm_credentials_file
    if path is None:
        return None
    account = credentials.read(path)
    tls = http2_context(settings.ca_file)
    connect = partial(Client, tls=tls, proxy_url=settings.push_proxy)
    token_endpoint = TokenEndpoint(connect(account.token_origin), account)
    return Fcm(
        connect(settings.fcm_url),
        TokenAuthorization(tokens, account.name, token_endpoint.mint),
        Renderer(str(path), account.project_id),
        project_id=account.project_id,
        troubles=troubles,
        # Processes do not know each other's pushes, so they share the quota evenly.
        quota=Quota(QUOTA_PER_S / max(settings.push_slots, 1)),
        token_endpoint=token_endpoint,
    )
