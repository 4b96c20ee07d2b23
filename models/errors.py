"""Errors of the caller; the docstring of a class is its message."""

from typing import Any


class CallerError(Exception):
    """The request cannot be carried out."""

    code = "bad_request"

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.details = details

    @property
    def message(self) -> str:
        return str(self.args[0])


class Invalid(CallerError):
    """The request is not valid."""

    code = "invalid"


class Unauthorized(CallerError):
    """A valid bearer token is needed."""

    code = "unauthorized"


class TokenExpired(Unauthorized):
    """The token has expired."""

    code = "token_expired"


class TokenNotYetValid(Unauthorized):
    """The token is not valid yet."""

    code = "token_not_yet_valid"


class WrongAudience(Unauthorized):
    """The token is meant for another service."""

    code = "wrong_audience"


class WrongIssuer(Unauthorized):
    """The token is from an issuer that is not trusted here."""

    code = "wrong_issuer"


class UnknownUser(Unauthorized):
    """The token is valid, but its user is not known here."""

    code = "unknown_user"


class Forbidden(CallerError):
    """You may not do this."""

    code = "forbidden"


class NotFound(CallerError):
    """There is no such thing, or you may not see it."""

    code = "not_found"


class Conflict(CallerError):
    """This contradicts what is there already."""

    code = "conflict"


class ClientIdUsed(Conflict):
    """You have posted another message with this client_id."""

    code = "client_id_used"


class KindOfFile(Conflict):
    """This kind is in the file of the settings: change it there."""

    code = "kind_of_file"


class UnknownKind(Invalid):
    """There is no kind with this name."""

    code = "unknown_kind"


class LengthRequired(CallerError):
    """This needs a Content-Length: without one, a body that breaks off looks whole."""

    code = "length_required"


class TooLarge(CallerError):
    """The body is too large."""

    code = "too_large"


class TooSlow(CallerError):
    """The body did not come in time."""

    code = "too_slow"


class TooMany(CallerError):
    """Too many requests."""

    code = "too_many_requests"


class UnsupportedType(CallerError):
    """The body must be JSON, sent with Content-Type: application/json."""

    code = "unsupported_type"
