"""The files with keys and certificates, and the service key."""

import stat
from collections.abc import Iterator
from pathlib import Path

from bottlepost.checks import Finding, ok, warning, wrong
from config import Settings, certificates, key_files, vapid
from models.base import utc_now

CHECK = "keys"
# Files that hold no secret.
PUBLIC = (
    "BOTTLEPOST_CA_FILE",
    "BOTTLEPOST_JWT_KEY_FILE",
    "BOTTLEPOST_JWT_JWKS_FILE",
)


def check(settings: Settings) -> Iterator[Finding]:
    for each in key_files.of(settings):
        yield _parsed(each)
        if each.variable not in PUBLIC:
            yield from _mode(each.path)
    if settings.vapid_subject is not None and settings.vapid_key_file is None:
        yield _made(settings.run_dir / vapid.FILE_NAME)
    if settings.service_key_old is not None:
        yield warning(
            CHECK,
            "two service keys are valid",
            "remove BOTTLEPOST_SERVICE_KEY_OLD when all callers have the new one",
        )


def _parsed(file: key_files.KeyFile) -> Finding:
    try:
        text = f"{file.variable}: {file.describe(file.path)}"
        end = file.ends()
    except ValueError as problem:
        reason, _, remedy = str(problem).partition("; ")
        return wrong(
            CHECK, f"{file.variable} {reason} ({file.path})", remedy or "replace it"
        )
    now = utc_now()
    if end is not None and end <= now:
        return wrong(CHECK, f"{text}: it has expired", "renew it and start again")
    if end is not None and end - certificates.WARN_AHEAD <= now:
        return warning(CHECK, f"{text}: that is soon", "renew it and start again")
    return ok(CHECK, text)


def _mode(path: Path) -> Iterator[Finding]:
    # Readers by group are usual: secrets of containers and services have one.
    if path.stat().st_mode & stat.S_IROTH:
        yield warning(CHECK, f"{path} may be read by everyone", f"run chmod o= {path}")


def _made(path: Path) -> Finding:
    if not path.exists():
        return ok(CHECK, "the key for web pushes is made at the first start")
    try:
        vapid.read(path)
    except ValueError as problem:
        return wrong(CHECK, f"{path} {problem}", "restore it from a backup")
    return ok(CHECK, f"{path}: the key for web pushes; keep a backup of it")
