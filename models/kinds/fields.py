"""The types of the fields that a kind's blocks consist of.

A text in a block is a pattern, so a literal brace is doubled everywhere. Texts of which
a member could choose what is played, opened or shown as an icon have no placeholders.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from models.kinds import patterns
from models.kinds.locales import DEFAULT

# FCM keeps no message longer.
LONGEST_TTL_S = 2_419_200
DEEPEST = 16
# An address whose path or query may be filled in; a host is never.
_is_absolute = re.compile(
    r"https://([A-Za-z0-9-]+\.)*[A-Za-z0-9-]+\.?(:(?P<port>\d{1,5}))?([/?#]\S*)?",
    re.ASCII,
).fullmatch
LARGEST_PORT = 65_535
# No scheme, and no //host. A browser reads a backslash as a slash.
_is_relative = re.compile(
    r"(/(?![/\\])|\.{1,2}/|[?#])\S*|[\w-][\w.-]*(/\S*)?"
).fullmatch
# What Google takes as a time (RFC 3339).
_is_moment = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
).fullmatch
AVATAR = "{sender.avatar}"

Where = str | tuple[str | int, ...]
# What is wrong, by the place in the block that is being validated.
Problems = dict[Where, str]


class Block(BaseModel):
    """A part of a kind; unknown fields and wrong types are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=False
    )
    # Fields that Bottlepost sets by itself, and why a kind may not.
    OURS: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _leave_ours_alone(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            refuse({name: cls.OURS[name] for name in cls.OURS if name in value})
        return value


def refuse(problems: Problems) -> None:
    """Refuse these fields, named from the block that is being validated."""
    if problems:
        raise ValidationError.from_exception_data(
            "kind", [_problem(where, what) for where, what in problems.items()]
        )


def _problem(where: Where, what: str) -> InitErrorDetails:
    place = (where,) if isinstance(where, str) else where
    kind = PydanticCustomError("refused", "{what}", {"what": what})
    return InitErrorDetails(type=kind, loc=place, input=None)


def is_partial(info: ValidationInfo) -> bool:
    """Whether a partial definition is checked: its rest is in the kind."""
    return bool(info.context and info.context.get("partial"))


def _encodable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    return text


def _pattern(text: str) -> str:
    patterns.parse(_encodable(text))
    return text


def fixed(text: str) -> str:
    if patterns.parse(_encodable(text)).placeholders:
        raise ValueError("must not have placeholders")
    return text


def _count(name: str) -> str:
    patterns.check_placeholder(name)
    return name


def _secure(address: str) -> str:
    """An https address with a fixed host, or the avatar of the sender."""
    patterns.parse(address)
    found = _is_absolute(address)
    is_good = found is not None and int(found["port"] or 0) <= LARGEST_PORT
    if address != AVATAR and not is_good:
        raise ValueError(
            "must begin with https:// and a host; only what follows may have "
            f"placeholders, and {AVATAR} may stand alone"
        )
    return address


def _linked(address: str) -> str:
    """The same, or an address on the site of the service worker."""
    patterns.parse(address)
    # Without their values, placeholders must not leave //host.
    empty = patterns.fill(address, {}, DEFAULT)
    if _is_relative(address) and _is_relative(empty):
        return address
    return _secure(address)


def check_json(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"is nested more than {DEEPEST} deep")
    if isinstance(value, str):
        _pattern(value)
        value.encode()
    elif isinstance(value, float):
        if not isfinite(value):
            raise ValueError("must not have the numbers NaN and Infinity")
    elif isinstance(value, dict):
        for name, one in value.items():
            if not isinstance(name, str):
                raise ValueError("must have texts as keys")
            _encodable(name).encode()
            check_json(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            check_json(one, depth + 1)
    return value


def _one(value: Any) -> Any:
    if type(value) is not int or value != 1:
        raise ValueError("must be 1, or be left out")
    return value


def _true(value: Any) -> Any:
    if value is not True:
        raise ValueError("must be true, or be left out")
    return value


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _ttl(text: str) -> str:
    if _seconds(text) > LONGEST_TTL_S:
        raise ValueError(f"must be at most {LONGEST_TTL_S:,} seconds (four weeks)")
    return text


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
        is_date = True
    except ValueError:
        is_date = False
    if not is_date or not _is_moment(text):
        raise ValueError("must be a time such as 2030-01-31T12:00:00Z")
    return text


# The default of fields that may be left out; null is not the same.
ABSENT: Any = None

Text = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_pattern)]
ShortText = Annotated[str, StringConstraints(max_length=200), AfterValidator(_pattern)]
Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_pattern)
]
# A name that the app knows: a sound, a channel, a category.
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(fixed)
]
Texts = Annotated[list[Text], Field(max_length=20)]
Words = Annotated[list[Word], Field(max_length=20)]
Https = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_secure)]
Link = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_linked)]
Json = Annotated[Any, AfterValidator(check_json)]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]
One = Annotated[int, BeforeValidator(_one)]
Only = Annotated[bool, BeforeValidator(_true)]
Whole = Annotated[int, Field(ge=0, le=2**53)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Duration = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?s$")]
Ttl = Annotated[Duration, AfterValidator(_ttl)]
Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_moment)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.~%-]{1,50}$")]
Color = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]


class Plural(Block):
    """A text for each category of a number; the pattern's language has the rule."""

    count: Annotated[str, AfterValidator(_count)]
    other: Text
    zero: Text = ABSENT
    one: Text = ABSENT
    two: Text = ABSENT
    few: Text = ABSENT
    many: Text = ABSENT

    @property
    def forms(self) -> dict[str, str]:
        """The texts by their category."""
        return self.model_dump(exclude={"count"}, exclude_unset=True)


def plural_or(text: Any) -> PlainValidator:
    """A pattern of that type, or a plural; for a field of type Any."""
    config = ConfigDict(strict=True)
    adapter = TypeAdapter(text, config=config)
    forms = TypeAdapter[Any](dict[str, text], config=config)

    def validate(value: Any) -> Any:
        if isinstance(value, Mapping):
            plural = Plural.model_validate(value)
            # Each form has the limits of the field.
            forms.validate_python(plural.forms)
            return plural
        return adapter.validate_python(value)

    return PlainValidator(validate)


def size_of(value: Any) -> int:
    """The size in bytes of a JSON value inside a push."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "replace"))
