"""The application while requests are traced."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.trace import StatusCode

from api.application import Application, Start
from bottlepost import tracing
from bottlepost.logs import request_ids

# Asked all the time by machines, or of no interest.
UNTRACED = ("/healthz", "/readyz", "/metrics", "/static/")


class TracedApplication(Application):
    """Makes a span of each request; jobs that it adds go on with its trace."""

    def wsgi(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if environ["PATH_INFO"].startswith(UNTRACED):
            return super().wsgi(environ, start_response)
        carrier = {
            name: environ[f"HTTP_{name.upper()}"]
            for name in ("traceparent", "tracestate")
            if f"HTTP_{name.upper()}" in environ
        }
        with tracing.request_span(method, carrier) as span:
            environ[request_ids.TRACEPARENT] = tracing.traceparent_of(span)

            def start(status: str, headers: list[Any], exc_info: Any = None) -> Any:
                code = int(status[:3])
                span.set_attribute("http.response.status_code", code)
                if code >= 500:
                    span.set_status(StatusCode.ERROR)
                return start_response(status, headers, exc_info)

            answer = super().wsgi(environ, start)
            if (route := environ.get("bottle.route")) is not None:
                # The rule, not the address, which may have a token in it.
                span.update_name(f"{method} {route.rule}")
                span.set_attribute("http.route", route.rule)
            span.set_attribute("bottlepost.request_id", environ[request_ids.ENVIRON])
            return answer
