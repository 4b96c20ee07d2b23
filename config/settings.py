"""The settings, read from the environment once, at the start.

A wrong value stops the start and names the variable. Any variable NAME may be given as
NAME_FILE instead, the path of a file that holds the value.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from jwt import PyJWK

from config import (
    database_url,
    environment,
    opentelemetry,
    public_keys,
    secret_values,
    smtp,
    tls,
)
from config.database_url import DatabaseUrl
from config.environment import SettingsError
from config.setting_types import (
    Catalogue,
    Contact,
    Directory,
    File,
    HostName,
    HostPort,
    Hosts,
    HttpsUrl,
    LaterFile,
    Origins,
    Proxies,
    ProxyUrl,
    PublicContact,
    PublicUrl,
    bearer,
    one_of,
    seconds,
    secret,
    text_for,
    url,
    whole,
)

REDIS_URL = "redis://127.0.0.1:6379/0"
REDIS_SCHEMES = ("redis", "rediss", "unix")
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp")
CPU_BOTH, CPU_ANSWERS = CPU_FIRST = ("both", "answers")
MIGRATE_AUTO, MIGRATE_CHECK = MIGRATE = ("auto", "check")
PREVIEW_FULL, PREVIEW_SENDER, PREVIEW_NONE = PREVIEWS = ("full", "sender", "none")
MISSING_WAIT, MISSING_FAIL = MISSING_PLATFORM = ("wait", "fail")
ADDERS = ("anyone", "acquaintances", "service")
LOG_FORMATS = (LOG_TEXT, LOG_JSON) = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
ON, OFF = ON_OFF = ("on", "off")
# Read by `make run` and the sandbox, which may share our environment.
SANDBOX_VARIABLES = frozenset({"BOTTLEPOST_SANDBOX_PORT"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set; complete before the first request.

    `from_env` reads each field from the variable of its name, BOTTLEPOST_PORT for
    `port`, and checks it by its type. `repr=False` keeps secrets out of logs. A new
    setting is a field here and a row in docs/configuration.md.
    """

    # May contain a password.
    database_url: DatabaseUrl = field(repr=False)
    # How long a statement may take on a database server, and an answer a bit longer.
    database_timeout_s: Annotated[float, seconds(1)] = 10.0
    # The most connections of a web worker to a database server.
    database_connections: Annotated[int, whole(4, 1000)] = 9
    # Whether the start brings an old database to the newest schema; None = on SQLite,
    # and under `bottlepost serve`.
    migrate: Annotated[str | None, one_of(*MIGRATE)] = None
    dispatcher: str = "process"
    host: str = "127.0.0.1"
    port: Annotated[int, whole(1, 65535)] = 8080
    # The certificate (with its chain) and key of our own host; none = it speaks HTTP.
    tls_cert_file: File | None = None
    tls_key_file: File | None = None
    # Where mail programs reach the server; None = mails have no link to it.
    public_url: PublicUrl | None = None
    workers: Annotated[int, whole(1, 256)] = 1
    # Proxies that tell the address of their client in X-Forwarded-For or Forwarded.
    trusted_proxies: Proxies = ()
    # Origins whose pages may call the API from a browser; `*` is any.
    cors_origins: Origins = ()
    run_dir: Directory
    service_key: Annotated[str, bearer(shortest=16)] = field(repr=False)
    # The key before, taken beside the new one until all callers have that.
    service_key_old: Annotated[str | None, bearer(shortest=16)] = field(
        default=None, repr=False
    )
    # The app's own tokens: a key (PEM) or a JWK Set, audience and issuer; or none.
    jwt_key_file: File | None = None
    jwt_jwks_file: File | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    # What the `sub` of a token is: our number of the user, or the backend's id.
    jwt_subject: Annotated[str, one_of("id", "external_id")] = "id"
    # Apple: either key_file + key_id + team_id, or cert_file; all empty = no APNs.
    apns_url: HttpsUrl = "https://api.push.apple.com"
    apns_sandbox_url: HttpsUrl = "https://api.sandbox.push.apple.com"
    apns_key_file: File | None = None
    apns_key_id: str | None = None
    apns_team_id: str | None = None
    apns_cert_file: File | None = None
    apns_topic: str | None = None
    # Google: the service account's JSON file; empty = no FCM.
    fcm_url: HttpsUrl = "https://fcm.googleapis.com"
    fcm_credentials_file: File | None = None
    # A private certificate authority that the providers' servers are checked against.
    ca_file: File | None = None
    # An HTTP proxy for Apple and Google; it may contain a password.
    push_proxy: ProxyUrl | None = field(default=None, repr=False)
    # The mail server; the URL may contain a password. None = no mail.
    smtp_url: Annotated[str | None, text_for(smtp.server)] = field(
        default=None, repr=False
    )
    smtp_from: Annotated[str | None, text_for(smtp.sender)] = None
    # The name in EHLO; None = the full name of this host.
    smtp_ehlo: HostName | None = None
    # Where a member can stop the mails; None = a mail to smtp_from.
    smtp_unsubscribe: Contact | None = None
    # One mail collects a conversation's messages of this period.
    smtp_digest_s: Annotated[float, seconds(0)] = 60.0
    # Web push: our contact for the push services; None = no web push.
    vapid_subject: PublicContact | None = None
    # The key browsers subscribe to; None = made once and kept in the run directory.
    vapid_key_file: File | None = None
    # Push services (host or host:port) that may be in a private network.
    webpush_allow: Hosts = ()
    # What a push shows: sender and text, the sender, or only that there is a message.
    push_preview: Annotated[str, one_of(*PREVIEWS)] = PREVIEW_FULL
    # Devices of a platform that no host is set up for: they wait, or fail at once.
    missing_platform: Annotated[str, one_of(*MISSING_PLATFORM)] = MISSING_WAIT
    # The kinds of notifications as JSON; None = they are defined by the API alone.
    kinds_file: File | None = None
    # Files with our own texts in more languages, or in other words; None = ours.
    catalogue_dir: Catalogue | None = None
    # Set by `make run`: the users of the demo page, which shows everybody their tokens.
    demo_file: LaterFile | None = None
    # Rate limits of one web worker, by user and by conversation; 0 = no limit.
    user_sends_per_minute: Annotated[int, whole(0, 1_000_000)] = 0
    chat_sends_per_minute: Annotated[int, whole(0, 1_000_000)] = 0
    # Whom users may add to conversations, and how many in an hour; 0 = no limit.
    add_members: Annotated[str, one_of(*ADDERS)] = "anyone"
    user_adds_per_hour: Annotated[int, whole(0, 1_000_000)] = 1000
    # Days after which `prune` deletes messages; 0 = they are kept.
    message_days: Annotated[int, whole(0, 36_500)] = 0
    # Days for which a sender's own id of a message is remembered.
    client_id_days: Annotated[int, whole(1, 36_500)] = 30
    # How many PushProcesses may run at once on this host; 0 = one per message.
    push_slots: Annotated[int, whole(0, 256)]
    # How long an idle PushProcess keeps its connections open.
    push_linger_s: Annotated[float, seconds(0)] = 30.0
    # Whose work comes first when the CPU is short: that of answers, or both alike.
    cpu_first: Annotated[str, one_of(*CPU_FIRST)] = CPU_BOTH
    # How long a process keeps a job without renewing its lease.
    lease_s: Annotated[float, seconds(1)] = 30.0
    # How often a web worker looks for jobs whose wake-up was lost.
    watchdog_s: Annotated[float, seconds(0.1)] = 15.0
    # Engines of `pool` and of the manager; worker processes of `celery`.
    pool_size: Annotated[int, whole(1, 64)] = 2
    # How often a polling worker looks at the outbox without a wake-up.
    poll_s: Annotated[float, seconds(0.1)] = 1.0
    # Where the manager listens, and the secret it shares with the web workers.
    manager_address: HostPort = "127.0.0.1:8765"
    manager_authkey: Annotated[str | None, secret(shortest=16)] = field(
        default=None, repr=False
    )
    # Redis of `script` and `rq`; it may contain a password, as may broker_url.
    redis_url: Annotated[str, url(*REDIS_SCHEMES)] = field(
        default=REDIS_URL, repr=False
    )
    # The broker of `celery`: Redis or RabbitMQ.
    broker_url: Annotated[str, url(*BROKER_SCHEMES)] = field(
        default=REDIS_URL, repr=False
    )
    # How many scripts may run at once on this host.
    script_limit: Annotated[int, whole(1, 64)] = 4
    # How long Redis keeps the status of a script's job.
    script_expiry_s: Annotated[float, seconds(60)] = 86400.0
    # The lines of all logs, and the least of what is logged.
    log_format: Annotated[str, one_of(*LOG_FORMATS)] = LOG_TEXT
    log_level: Annotated[str, one_of(*LOG_LEVELS)] = "info"
    # Whether our own host logs a line for each request.
    access_log: Annotated[str, one_of(*ON_OFF)] = ON
    # Spans by OpenTelemetry, which its own variables configure.
    tracing: Annotated[str, one_of(*ON_OFF)] = OFF

    @property
    def secrets(self) -> frozenset[str]:
        """What no log may show, whatever its line is about."""
        return secret_values.of(self)


def from_env(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from BOTTLEPOST_* variables; raises SettingsError naming a wrong one."""
    # Imported here: a process that is handed its settings needs no pydantic.
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    variables = os.environ if environ is None else environ
    texts = environment.texts(
        variables,
        [setting.name for setting in fields(Settings)],
        others=SANDBOX_VARIABLES,
    )
    # Defaults that depend on the machine or on another setting.
    run_dir = Path(texts.setdefault("run_dir", "var")).resolve()
    texts.setdefault("database_url", database_url.of_file(run_dir / "bottlepost.db"))
    texts.setdefault("tracing", opentelemetry.default(variables))
    texts.setdefault("push_slots", str(os.cpu_count() or 1))
    try:
        settings = TypeAdapter(Settings).validate_python(texts)
    except ValidationError as refused:
        # Not chained: pydantic's message would show the value, which may be secret.
        raise _first_problem(refused.errors()[0]) from None
    for check in (
        _check_service_keys,
        _check_tls,
        _check_jwt,
        _check_apns,
        _check_smtp,
        _check_tracing,
    ):
        check(settings)
    return settings


def _first_problem(first: Mapping[str, Any]) -> SettingsError:
    """One of pydantic's errors, as ours."""
    # The service key is the only setting that must be there.
    missing = "is missing: make one with `openssl rand -hex 24`"
    problem = first.get("ctx", {}).get("error", missing)
    return SettingsError(environment.variable(str(first["loc"][0])), str(problem))


def jwt_keys(settings: Settings) -> list[PyJWK]:
    """The public keys of the app's own tokens, or none; raises SettingsError."""
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


def _check_service_keys(settings: Settings) -> None:
    """The same key twice is a rotation that has changed nothing."""
    if settings.service_key_old == settings.service_key:
        raise SettingsError(
            "BOTTLEPOST_SERVICE_KEY_OLD",
            "is the same as BOTTLEPOST_SERVICE_KEY: set that to a new key, or remove"
            " the old one",
        )


def _check_tls(settings: Settings) -> None:
    """A bad key would end each web worker, without a word about the setting."""
    _is_complete(
        "TLS needs",
        BOTTLEPOST_TLS_CERT_FILE=settings.tls_cert_file,
        BOTTLEPOST_TLS_KEY_FILE=settings.tls_key_file,
    )
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        tls.check(settings.tls_cert_file, settings.tls_key_file)


def _check_jwt(settings: Settings) -> None:
    """Without issuer and audience, tokens made for other services would be accepted."""
    if settings.jwt_key_file is not None and settings.jwt_jwks_file is not None:
        raise SettingsError(
            "BOTTLEPOST_JWT_JWKS_FILE", "is set beside a key: choose one of them"
        )
    _is_complete(
        "the app's tokens need",
        BOTTLEPOST_JWT_KEY_FILE=settings.jwt_key_file or settings.jwt_jwks_file,
        BOTTLEPOST_JWT_AUDIENCE=settings.jwt_audience,
        BOTTLEPOST_JWT_ISSUER=settings.jwt_issuer,
    )
    jwt_keys(settings)


def _check_apns(settings: Settings) -> None:
    """Incomplete credentials would fail only at the first push."""
    has_key = _is_complete(
        "APNs by key needs",
        BOTTLEPOST_APNS_KEY_FILE=settings.apns_key_file,
        BOTTLEPOST_APNS_KEY_ID=settings.apns_key_id,
        BOTTLEPOST_APNS_TEAM_ID=settings.apns_team_id,
    )
    has_certificate = settings.apns_cert_file is not None
    if has_key and has_certificate:
        raise SettingsError(
            "BOTTLEPOST_APNS_CERT_FILE", "is set beside a key: choose one of them"
        )
    if (has_key or has_certificate) and settings.apns_topic is None:
        raise SettingsError("BOTTLEPOST_APNS_TOPIC", "is missing: APNs needs a topic")


def _check_smtp(settings: Settings) -> None:
    """A server without a sender, or a sender without a server, would send no mail."""
    _is_complete(
        "mail needs",
        BOTTLEPOST_SMTP_URL=settings.smtp_url,
        BOTTLEPOST_SMTP_FROM=settings.smtp_from,
    )


def _check_tracing(settings: Settings) -> None:
    if settings.tracing == ON and not opentelemetry.is_installed():
        problem = f"is on, which needs {opentelemetry.NEEDED}; or set it to off"
        raise SettingsError("BOTTLEPOST_TRACING", problem)


def _is_complete(needs: str, **values: object) -> bool:
    """Whether all are set; raises SettingsError if only some of them are."""
    missing = [name for name, value in values.items() if value is None]
    if 0 < len(missing) < len(values):
        raise SettingsError(missing[0], f"is missing: {needs} {', '.join(values)}")
    return not missing
