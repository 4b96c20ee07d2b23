"""Whatever goes wrong, as {"error": {"code", "message", "details"}}."""

import json
import logging
import secrets
from typing import Any

from bottle import HTTPError, HTTPResponse, response

from models.errors import (
    CallerError,
    Conflict,
    Forbidden,
    Invalid,
    LengthRequired,
    NotFound,
    TokenExpired,
    TokenNotYetValid,
    TooLarge,
    TooMany,
    Unauthorized,
    UnknownUser,
    UnsupportedType,
    WrongAudience,
    WrongIssuer,
)

log = logging.getLogger(__name__)

STATUS: dict[type[CallerError], int] = {
    CallerError: 400,
    Invalid: 400,
    Unauthorized: 401,
    TokenExpired: 401,
    TokenNotYetValid: 401,
    WrongAudience: 401,
    WrongIssuer: 401,
    UnknownUser: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    LengthRequired: 411,
    TooLarge: 413,
    UnsupportedType: 415,
    TooMany: 429,
}
# What Bottle finds by itself, before a handler is called.
ROUTING = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know this method."),
}
RETRY_AFTER_S = 2
JSON_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def of_caller(problem: CallerError) -> HTTPResponse:
    headers = {}
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(problem, TooMany):
        headers["Retry-After"] = str(problem.details["retry_after_s"])
    return HTTPResponse(
        _body(problem.code, problem.message, problem.details),
        status=STATUS[type(problem)],
        **_json(headers),
    )


def of_outage(problem: Exception) -> HTTPResponse:
    log.error("the database does not answer: %s", problem)
    return unavailable("The service is not available now; try again.")


def unavailable(message: str) -> HTTPResponse:
    """Somebody on whom the answer depends is away for the moment."""
    return HTTPResponse(
        _body("unavailable", message, {}),
        status=503,
        **_json({"Retry-After": str(RETRY_AFTER_S)}),
    )


def of_defect(problem: BaseException | None) -> HTTPResponse:
    """Our own mistake: the log has the traceback, the caller its number."""
    return HTTPResponse(_incident(problem), status=500, **_json({}))


def of_bottle(problem: HTTPError) -> bytes:
    """The body for what Bottle answers itself; its status and headers stay."""
    response.content_type = "application/json"
    status = problem.status_code
    if status >= 500:
        return _incident(problem.exception)
    code, message = ROUTING.get(status, (CallerError.code, str(problem.body)))
    return _body(code, message, {})


def _incident(problem: BaseException | None) -> bytes:
    incident = secrets.token_hex(6)
    log.error("incident %s", incident, exc_info=problem)
    return _body(
        "internal_error",
        f"Something went wrong on our side; its number is {incident}.",
        {"incident": incident},
    )


def message_of(answer: HTTPResponse) -> str:
    """What one of these answers says to people."""
    return str(json.loads(answer.body)["error"]["message"])


def _json(headers: dict[str, str]) -> dict[str, str]:
    return {**JSON_HEADERS, **headers}


def _body(code: str, message: str, details: dict[str, Any]) -> bytes:
    error = {"code": code, "message": message, "details": details}
    return json.dumps({"error": error}).encode()
