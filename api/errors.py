"""Turns every exception into an error with a status, a code and a message."""

import json
import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

from bottle import HTTPError, HTTPResponse, request, response

from api import cors
from datastore import OUTAGES, schema_check
from datastore.database_file import DatabaseReplaced
from datastore.outages import NotWritable
from datastore.schema_check import NotMigrated
from models.errors import (
    CallerError,
    ClientIdUsed,
    Conflict,
    Forbidden,
    Invalid,
    KindOfFile,
    LengthRequired,
    NotFound,
    TokenExpired,
    TokenNotYetValid,
    TooLarge,
    TooMany,
    TooSlow,
    Unauthorized,
    UnknownKind,
    UnknownUser,
    UnsupportedType,
    WrongAudience,
    WrongIssuer,
)

log = logging.getLogger(__name__)

STATUS: dict[type[CallerError], int] = {
    CallerError: 400,
    Invalid: 400,
    UnknownKind: 400,
    Unauthorized: 401,
    TokenExpired: 401,
    TokenNotYetValid: 401,
    WrongAudience: 401,
    WrongIssuer: 401,
    UnknownUser: 401,
    Forbidden: 403,
    NotFound: 404,
    TooSlow: 408,
    Conflict: 409,
    ClientIdUsed: 409,
    KindOfFile: 409,
    LengthRequired: 411,
    TooLarge: 413,
    UnsupportedType: 415,
    TooMany: 429,
}
# Bottle finds these itself, before a handler is called.
ROUTING_ERRORS = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know this method."),
}
RETRY_AFTER_S = 2
JSON_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, kw_only=True)
class ErrorResponse:
    """An error for the caller; the API writes it as JSON, a page as HTML."""

    status: int
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> bytes:
        error = {"code": self.code, "message": self.message, "details": self.details}
        return json.dumps({"error": error}).encode()


def from_exception(problem: Exception) -> ErrorResponse:
    """The error for a handler's exception; logs it unless the caller caused it."""
    if isinstance(problem, CallerError):
        return _caller_error(problem)
    if isinstance(problem, DatabaseReplaced):
        return unavailable("The database file has been replaced; restart the server.")
    if isinstance(problem, NotMigrated | NotWritable):
        return unavailable(str(problem))
    if schema_check.is_missing(problem):
        log.error("the database is not migrated: %s", getattr(problem, "orig", problem))
        return unavailable("The database has to be migrated first; try again later.")
    if isinstance(problem, OUTAGES):
        log.error("the database does not answer: %s", problem)
        return unavailable("The service is not available now; try again.")
    return _incident(problem)


def _caller_error(problem: CallerError) -> ErrorResponse:
    headers = {}
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(problem, TooMany):
        headers["Retry-After"] = str(problem.details["retry_after_s"])
    return ErrorResponse(
        status=STATUS[type(problem)],
        code=problem.code,
        message=problem.message,
        details=problem.details,
        headers=headers,
    )


def _incident(problem: BaseException | None) -> ErrorResponse:
    """The error for a bug: the caller gets a number, the log gets the traceback."""
    incident = secrets.token_hex(6)
    log.error("incident %s", incident, exc_info=problem)
    return ErrorResponse(
        status=500,
        code="internal_error",
        message=f"Something went wrong on our side; its number is {incident}.",
        details={"incident": incident},
    )


def unavailable(message: str) -> ErrorResponse:
    """The error for a service that does not answer at the moment."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return ErrorResponse(
        status=503, code="unavailable", message=message, headers=headers
    )


def as_json(error: ErrorResponse) -> HTTPResponse:
    headers = {**JSON_HEADERS, **error.headers}
    return HTTPResponse(error.json(), status=error.status, **headers)


def from_bottle(problem: HTTPError) -> bytes:
    """The body for an error that Bottle found itself; its status and headers stay."""
    request.environ[cors.READABLE] = True
    for name, value in JSON_HEADERS.items():
        response.set_header(name, value)
    status = problem.status_code
    if status >= 500:
        return _incident(problem.exception).json()
    code, message = ROUTING_ERRORS.get(status, (CallerError.code, str(problem.body)))
    return ErrorResponse(status=status, code=code, message=message).json()
