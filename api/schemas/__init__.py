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


KEY_PATTERN = r"^[!-~]{1,100}$"
# Our words for the errors of pydantic that clients cause; their values are in braces.
WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "extra_forbidden": "is unknown",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must not be longer than {max_length} characters",
    "string_type": "must be a string",
    "too_long": "must not have more than {max_length} entries",
    "union_tag_invalid": "type must be one of {expected_tags}",
    "union_tag_not_found": "type is missing",
}
A_KEY = "must be 1 to 100 printable ASCII characters without spaces"
EMPTY = "must not be empty"


def message_of(problem: Any) -> str:
    """What is wrong, by a pydantic error with its context."""
    kind, values = problem["type"], problem.get("ctx", {})
    if values.get("pattern") == KEY_PATTERN:
        return A_KEY
    if kind in ("string_too_short", "too_short") and values["min_length"] == 1:
        return EMPTY
    if kind in WORDS:
        return WORDS[kind].format(**values)
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
Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]


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
