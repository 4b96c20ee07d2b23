"""The settings, read from the environment once, at the start.

A wrong value stops the start and names the variable. Any variable NAME may be given as
NAME_FILE instead, the path of a file that holds the value.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jwt import PyJWK

from config import public_keys, smtp
from config.read import Reader, SettingsError

__all__ = ["Settings", "SettingsError", "from_env"]

APNS_PRODUCTION_URL = "https://api.push.apple.com"
APNS_SANDBOX_URL = "https://api.sandbox.push.apple.com"
REDIS_URL = "redis://127.0.0.1:6379/0"
REDIS_SCHEMES = ("redis", "rediss", "unix")
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp")
FCM_URL = "https://fcm.googleapis.com"
PREVIEW_FULL, PREVIEW_SENDER, PREVIEW_NONE = PREVIEWS = ("full", "sender", "none")
# What the `sub` of the app's own tokens is: our number of the user, or the app's name.
JWT_SUBJECTS = ("id", "external_id")
# Read by `make run` and the sandbox, which may share our environment.
SANDBOX_VARIABLES = frozenset({"BOTTLEPOST_SANDBOX_PORT"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set; complete before the first request."""

    # It may contain a password.
    database_url: str = field(repr=False)
    dispatcher: str = "process"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    run_dir: Path
    # Left out of every printout and log.
    service_key: str = field(repr=False)
    # The app's own tokens: a key (PEM) or a JWK Set, audience and issuer; or none.
    jwt_key_file: Path | None = None
    jwt_jwks_file: Path | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_subject: str = "id"
    # Apple: either key_file + key_id + team_id, or cert_file; all empty = no APNs.
    apns_url: str = APNS_PRODUCTION_URL
    apns_sandbox_url: str = APNS_SANDBOX_URL
    apns_key_file: Path | None = None
    apns_key_id: str | None = None
    apns_team_id: str | None = None
    apns_cert_file: Path | None = None
    apns_topic: str | None = None
    # Google: the service account's JSON file; empty = no FCM.
    fcm_url: str = FCM_URL
    fcm_credentials_file: Path | None = None
    # A private certificate authority that the providers' servers are checked against.
    ca_file: Path | None = None
    # An HTTP proxy on the way to Apple and Google; it may contain a password.
    push_proxy: str | None = field(default=None, repr=False)
    # Mail: the server it is handed to; the URL may contain a password. None = no mail.
    smtp_url: str | None = field(default=None, repr=False)
    smtp_from: str | None = None
    # Where a member is told to go who wants no more mail; None = a mail to smtp_from.
    smtp_unsubscribe: str | None = None
    # A conversation's messages of so many seconds come in one mail.
    smtp_digest_s: float = 60.0
    # Web push: whom a push service may turn to about us; None = no web push.
    vapid_subject: str | None = None
    # The key browsers subscribe to; None = made once and kept in the run directory.
    vapid_key_file: Path | None = None
    # Push services (host or host:port) that may be in a private network.
    webpush_allow: tuple[str, ...] = ()
    # How much of a message its push shows: all, who wrote, or only that there is one.
    push_preview: str = PREVIEW_FULL
    # Set by `make run`: the people of the demo page, whose tokens it gives to anybody.
    demo_file: Path | None = None
    # Messages a minute that one web worker takes, of a user and in a conversation;
    # 0 = any number.
    user_sends_per_minute: int = 0
    chat_sends_per_minute: int = 0
    # How many PushProcesses may run at once on this host; 0 = one per message.
    push_slots: int
    # How long an idle PushProcess keeps its connections warm.
    push_linger_s: float = 30.0
    # How long a job stays with a process that no longer gives a sign of life.
    lease_s: float = 30.0
    # How often a web worker looks for work that nobody was woken for.
    watchdog_s: float = 15.0
    # How many engines `pool` and the manager keep; how many workers `celery` starts.
    pool_size: int = 2
    # How often a polling worker looks, where nobody can tell it.
    poll_s: float = 1.0
    # Where the manager listens, and the secret it shares with the web workers.
    manager_address: str = "127.0.0.1:8765"
    manager_authkey: str | None = field(default=None, repr=False)
    # Redis of `script` and `rq`; either may contain a password.
    redis_url: str = field(default=REDIS_URL, repr=False)
    # The broker of `celery`: Redis or RabbitMQ.
    broker_url: str = field(default=REDIS_URL, repr=False)
    # How many scripts may run at once on this host.
    script_limit: int = 4
    # How long Redis remembers what became of a script's job.
    script_expiry_s: float = 86400.0


def from_env(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from BOTTLEPOST_* variables; raises SettingsError naming a wrong one."""
    read = Reader(os.environ if environ is None else environ, prefix="BOTTLEPOST_")
    run_dir = read.directory("RUN_DIR", default=Path("var"))
    settings = Settings(
        database_url=read.text("DATABASE_URL", f"sqlite:///{run_dir}/bottlepost.db"),
        dispatcher=read.text("DISPATCHER", Settings.dispatcher),
        host=read.text("HOST", Settings.host),
        port=read.integer("PORT", Settings.port, low=1, high=65535),
        workers=read.integer("WORKERS", Settings.workers, low=1, high=256),
        run_dir=run_dir,
        service_key=read.secret("SERVICE_KEY", shortest=16),
        jwt_key_file=read.file("JWT_KEY_FILE"),
        jwt_jwks_file=read.file("JWT_JWKS_FILE"),
        jwt_audience=read.optional("JWT_AUDIENCE"),
        jwt_issuer=read.optional("JWT_ISSUER"),
        jwt_subject=read.choice("JWT_SUBJECT", Settings.jwt_subject, JWT_SUBJECTS),
        apns_url=read.https_url("APNS_URL", APNS_PRODUCTION_URL),
        apns_sandbox_url=read.https_url("APNS_SANDBOX_URL", APNS_SANDBOX_URL),
        apns_key_file=read.file("APNS_KEY_FILE"),
        apns_key_id=read.optional("APNS_KEY_ID"),
        apns_team_id=read.optional("APNS_TEAM_ID"),
        apns_cert_file=read.file("APNS_CERT_FILE"),
        apns_topic=read.optional("APNS_TOPIC"),
        fcm_url=read.https_url("FCM_URL", FCM_URL),
        fcm_credentials_file=read.file("FCM_CREDENTIALS_FILE"),
        ca_file=read.file("CA_FILE"),
        push_proxy=read.proxy("PUSH_PROXY"),
        smtp_url=read.optional("SMTP_URL"),
        smtp_from=read.optional("SMTP_FROM"),
        smtp_unsubscribe=read.contact("SMTP_UNSUBSCRIBE"),
        smtp_digest_s=read.seconds("SMTP_DIGEST_S", Settings.smtp_digest_s, low=0),
        vapid_subject=read.contact("VAPID_SUBJECT"),
        vapid_key_file=read.file("VAPID_KEY_FILE"),
        webpush_allow=read.hosts("WEBPUSH_ALLOW"),
        push_preview=read.choice("PUSH_PREVIEW", PREVIEW_FULL, PREVIEWS),
        demo_file=read.path("DEMO_FILE"),
        user_sends_per_minute=_rate(read, "USER_SENDS_PER_MINUTE"),
        chat_sends_per_minute=_rate(read, "CHAT_SENDS_PER_MINUTE"),
        push_slots=read.integer("PUSH_SLOTS", os.cpu_count() or 1, low=0, high=256),
        push_linger_s=read.seconds("PUSH_LINGER_S", Settings.push_linger_s, low=0),
        lease_s=read.seconds("LEASE_S", Settings.lease_s, low=1),
        watchdog_s=read.seconds("WATCHDOG_S", Settings.watchdog_s, low=0.1),
        pool_size=read.integer("POOL_SIZE", Settings.pool_size, low=1, high=64),
        poll_s=read.seconds("POLL_S", Settings.poll_s, low=0.1),
        manager_address=read.host_port("MANAGER_ADDRESS", Settings.manager_address),
        manager_authkey=read.optional_secret("MANAGER_AUTHKEY", shortest=16),
        redis_url=read.url("REDIS_URL", REDIS_URL, REDIS_SCHEMES),
        broker_url=read.url("BROKER_URL", REDIS_URL, BROKER_SCHEMES),
        script_limit=read.integer(
            "SCRIPT_LIMIT", Settings.script_limit, low=1, high=64
        ),
        script_expiry_s=read.seconds(
            "SCRIPT_EXPIRY_S", Settings.script_expiry_s, low=60
        ),
    )
    for check in (_check_jwt, _check_apns, _check_smtp):
        check(settings)
    read.refuse_unknown(but=SANDBOX_VARIABLES)
    return settings


def _rate(read: Reader, name: str) -> int:
    return read.integer(name, 0, low=0, high=1_000_000)


def jwt_keys(settings: Settings) -> list[PyJWK]:
    """The keys that the app signs its tokens with; raises SettingsError."""
    readers = {
        "BOTTLEPOST_JWT_KEY_FILE": (settings.jwt_key_file, public_keys.of_pem),
        "BOTTLEPOST_JWT_JWKS_FILE": (settings.jwt_jwks_file, public_keys.of_jwks),
    }
    for variable, (path, read) in readers.items():
        try:
            if path is not None:
                return read(path)
        except ValueError as problem:
            raise SettingsError(variable, str(problem)) from None
    return []


def _check_jwt(settings: Settings) -> None:
    """A token that is not bound to an issuer and to us would open other doors, too."""
    if settings.jwt_key_file is not None and settings.jwt_jwks_file is not None:
        raise SettingsError(
            "BOTTLEPOST_JWT_JWKS_FILE", "is set beside a key: choose one of them"
        )
    needed = {
        "BOTTLEPOST_JWT_KEY_FILE": settings.jwt_key_file or settings.jwt_jwks_file,
        "BOTTLEPOST_JWT_AUDIENCE": settings.jwt_audience,
        "BOTTLEPOST_JWT_ISSUER": settings.jwt_issuer,
    }
    missing = [name for name, value in needed.items() if value is None]
    if 0 < len(missing) < len(needed):
        raise SettingsError(
            missing[0], "is missing: the app's tokens need " + ", ".join(needed)
        )
    jwt_keys(settings)


def _check_apns(settings: Settings) -> None:
    """Half-filled credentials would fail only at the first push."""
    by_key = {
        "BOTTLEPOST_APNS_KEY_FILE": settings.apns_key_file,
        "BOTTLEPOST_APNS_KEY_ID": settings.apns_key_id,
        "BOTTLEPOST_APNS_TEAM_ID": settings.apns_team_id,
    }
    missing = [name for name, value in by_key.items() if value is None]
    if 0 < len(missing) < len(by_key):
        raise SettingsError(
            missing[0], "is missing: APNs by key needs " + ", ".join(by_key)
        )
    if not missing and settings.apns_cert_file is not None:
        raise SettingsError(
            "BOTTLEPOST_APNS_CERT_FILE", "is set beside a key: choose one of them"
        )
    has_apns = not missing or settings.apns_cert_file is not None
    if has_apns and settings.apns_topic is None:
        raise SettingsError("BOTTLEPOST_APNS_TOPIC", "is missing: APNs needs a topic")


def _check_smtp(settings: Settings) -> None:
    """A server without a sender, or either of them unreadable, would mail nothing."""
    values = {
        "BOTTLEPOST_SMTP_URL": (settings.smtp_url, smtp.server),
        "BOTTLEPOST_SMTP_FROM": (settings.smtp_from, smtp.sender),
    }
    for variable, (value, read) in values.items():
        if value is None and any(other for other, _ in values.values()):
            raise SettingsError(variable, "is missing: mail needs " + ", ".join(values))
        try:
            _ = value and read(value)
        except ValueError as problem:
            raise SettingsError(variable, str(problem)) from None
