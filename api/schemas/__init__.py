"""What goes in and out as JSON; these classes validate and describe it."""

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

# The databases' widest integer.
LARGEST_ID = 2**63 - 1


class In(BaseModel):
    """A request's body or query: nothing unknown, nothing of the wrong type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Out(BaseModel):
    """An answer's body; built by our own code, times in UTC."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def said(problem: Any) -> str:
    """What one of pydantic's errors says; it puts a prefix before our own sentences."""
    return str(problem["msg"]).removeprefix("Value error, ")


def _writable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_writable)
]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=4000), AfterValidator(_writable)
]
# Printable ASCII: compared byte for byte by every database.
Key = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$")]


def _moment(value: object) -> datetime:
    """RFC 3339 with its zone; pydantic by itself also takes seconds since 1970."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2030-01-31T12:00:00Z") from None


Time = Annotated[datetime, BeforeValidator(_moment)]
