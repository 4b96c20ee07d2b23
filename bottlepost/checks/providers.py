"""The providers of the settings: reachable with TLS and HTTP/2, and their clocks.

Nothing is pushed. Google also gives an access token, which shows that the service
account is taken; Apple would tell that of its key only for a push.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial

from aiosmtplib.errors import SMTPException

from bottlepost.checks import Finding, data, ok, warning, wrong
from config import Settings, smtp
from models.base import utc_now
from notifier.channels import CredentialsRefused
from notifier.channels.email.connection import Access
from notifier.channels.fcm import credentials
from notifier.channels.fcm.credentials import TokenEndpoint
from notifier.channels.tls import http2_context, trusting
from notifier.http2 import Client, Head, Request, Response
from notifier.outcome import ChannelDown

CONNECT_S = 5.0
ANSWER_S = 10.0
# Their dates are in whole seconds; tokens of ours must not be from the future, nor an
# hour old.
SKEW_S, LARGE_SKEW_S = 30.0, 300.0
GET = Head((), "/", method="GET")
_REMEDIES = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "is BOTTLEPOST_CA_FILE that server's authority, and no other program in"
        " between that reads TLS?",
    ),
    ("the proxy answers", "correct BOTTLEPOST_PUSH_PROXY, or what the proxy allows"),
    ("ALPN", "a proxy in between speaks no HTTP/2: let connections pass as they are"),
    ("Name or service", "can this host resolve names?"),
    ("name resolution", "can this host resolve names?"),
)
_OTHER_REMEDY = "let this host connect to it, or set BOTTLEPOST_PUSH_PROXY"


async def check(settings: Settings) -> AsyncIterator[Finding]:
    for look in _looks(settings):
        try:
            for finding in await look():
                yield finding
        except (ValueError, OSError) as problem:
            # A file of keys, about which its own check says more.
            yield wrong("providers", str(problem), "repair the file first")


def _looks(settings: Settings) -> list[Callable[[], Awaitable[list[Finding]]]]:
    found: list[Callable[[], Awaitable[list[Finding]]]] = []
    has_apns = settings.apns_key_file or settings.apns_cert_file
    if settings.apns_topic is not None and has_apns:
        for url in (settings.apns_url, settings.apns_sandbox_url):
            found.append(partial(_http, settings, "apns", url))
    if settings.fcm_credentials_file is not None:
        found.append(partial(_http, settings, "fcm", settings.fcm_url))
        found.append(partial(_token, settings))
    if settings.smtp_url is not None:
        found.append(partial(_mail, settings))
    return found


async def _http(settings: Settings, platform: str, url: str) -> list[Finding]:
    client = _client(settings, url, with_certificate=platform == "apns")
    try:
        response = await client.fetch(GET, Request(b""))
    except ChannelDown as down:
        return [_out_of_reach(platform, down.reason)]
    finally:
        await client.close()
    return [ok(platform, f"{url} answers by HTTP/2"), *_clock(url, response)]


async def _token(settings: Settings) -> list[Finding]:
    path = settings.fcm_credentials_file
    assert path is not None  # noqa: S101 - see `_looks`
    account = credentials.read(path)
    endpoint = TokenEndpoint(_client(settings, account.token_origin), account)
    try:
        await endpoint.mint()
    except ChannelDown as down:
        return [_out_of_reach("fcm", down.reason)]
    except CredentialsRefused as refused:
        remedy = "make a new key of the service account, and look at the clocks"
        return [wrong("fcm", str(refused), remedy)]
    finally:
        await endpoint.close()
    return [ok("fcm", f"{account.token_origin} takes the service account")]


def _client(settings: Settings, url: str, *, with_certificate: bool = False) -> Client:
    cert_file = settings.apns_cert_file if with_certificate else None
    return Client(
        url,
        tls=http2_context(settings.ca_file, cert_file=cert_file),
        connect_timeout_s=CONNECT_S,
        request_timeout_s=ANSWER_S,
        proxy_url=settings.push_proxy,
    )


def _out_of_reach(platform: str, reason: str) -> Finding:
    remedies = [remedy for words, remedy in _REMEDIES if words in reason]
    return wrong(platform, reason, remedies[0] if remedies else _OTHER_REMEDY)


def _clock(url: str, response: Response) -> list[Finding]:
    """The provider's clock against ours, if it tells the time."""
    now = utc_now()
    theirs = [_date(value) for name, value in response.headers if name == "date"]
    if not theirs or theirs[0] is None:
        return []
    ahead_s = (theirs[0] - now).total_seconds()
    return [data.skew(url, ahead_s, SKEW_S, LARGE_SKEW_S)]


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None
    return found if found.tzinfo else None


async def _mail(settings: Settings) -> list[Finding]:
    """Connect and sign in; no mail is sent."""
    server = smtp.server(settings.smtp_url or "")
    access = Access(
        server=server, tls=trusting(settings.ca_file), own_name=settings.smtp_ehlo
    )
    client = access.client(ANSWER_S)
    where = f"{server.host}:{server.port}"
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.connect()
            await client.quit()
    except (SMTPException, OSError, ssl.SSLError) as problem:
        reason = str(problem).partition("\n")[0] or type(problem).__name__
        return [wrong("email", f"{where}: {reason}", "correct BOTTLEPOST_SMTP_URL")]
    if server.security == "none" and server.user is not None:
        remedy = "leave out ?tls=none"
        return [warning("email", f"{where} gets the password in the open", remedy)]
    return [ok("email", f"{where} takes us")]
