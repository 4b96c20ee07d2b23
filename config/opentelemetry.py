"""Whether OpenTelemetry is wanted, by its own variables, and is installed."""

from collections.abc import Mapping
from importlib.util import find_spec

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NEEDED = "OpenTelemetry (pip install 'bottlepost[otel]')"


def default(environ: Mapping[str, str]) -> str:
    """The setting's default: "on" if the environment names a collector."""
    is_disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    has_none = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    is_meant = any(environ.get(name, "").strip() for name in ENDPOINTS)
    return "on" if is_meant and not (is_disabled or has_none) else "off"


def is_installed() -> bool:
    try:
        return all(
            find_spec(f"opentelemetry.{part}")
            for part in ("sdk.trace", "exporter.otlp.proto.http")
        )
    except ModuleNotFoundError:
        return False
