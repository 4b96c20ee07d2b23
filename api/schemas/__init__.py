"""Schemas of requests and responses; they validate the JSON and describe it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from models.texts import is_blank

# The largest integer of the databases.
LARGEST_ID = 2**63 - 1


class In(BaseModel):
    """A request's body or query; unknown fields and wrong types are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Out(BaseModel):
    """A response's body; its times are in UTC."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def message_of(problem: Any) -> str:
    """The message of a pydantic error, without pydantic's prefix for our own ones."""
    return str(problem["msg"]).removeprefix("Value error, ")


def _writable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    if is_blank(text):
        raise ValueError("must not be blank")
    return text


Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_writable)
]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=4000), AfterValidator(_writable)
]
# Printable ASCII, which all databases compare byte by byte.
Key = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$")]


def _moment(value: object) -> datetime:
    """Parse RFC 3339 with a zone; pydantic would also accept Unix timestamps."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2030-01-31T12:00:00Z") from None


Time = Annotated[datetime, BeforeValidator(_moment)]
