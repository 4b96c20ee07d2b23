"""Apple's dictionary `aps`, key by key, with the keys of Live Activities."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    model_validator,
)

from models.kinds.fields import (
    ABSENT,
    Block,
    Fraction,
    JsonObject,
    One,
    Only,
    ShortText,
    Text,
    Texts,
    Whole,
    Word,
    Words,
    is_partial,
    refuse,
)

# Keys of Live Activities, which other pushes do not have.
OF_ACTIVITIES = (
    "timestamp",
    "event",
    "content-state",
    "attributes-type",
    "attributes",
    "stale-date",
    "dismissal-date",
    "input-push-token",
    "input-push-channel",
)


def apple_name(name: str) -> str:
    return name.replace("_", "-")


class AppleBlock(Block):
    """A part of a payload as Apple names its keys."""

    model_config = ConfigDict(alias_generator=apple_name)


class ApsAlert(AppleBlock):
    """What an alert says, beyond what the kind's patterns say."""

    title: ShortText = ABSENT
    subtitle: ShortText = ABSENT
    body: Text = ABSENT
    title_loc_key: Word = ABSENT
    subtitle_loc_key: Word = ABSENT
    loc_key: Word = ABSENT
    title_loc_args: Texts = ABSENT
    subtitle_loc_args: Texts = ABSENT
    loc_args: Texts = ABSENT
    launch_image: Word = ABSENT

    @model_validator(mode="after")
    def _have_keys(self, info: ValidationInfo) -> Self:
        given = self.model_fields_set
        refuse(
            {
                f"{apple_name(part)}-args": f"needs {apple_name(part)}-key"
                for part in ("title_loc", "subtitle_loc", "loc")
                if f"{part}_args" in given and f"{part}_key" not in given
            }
            if not is_partial(info)
            else {}
        )
        return self


class CriticalSound(AppleBlock):
    """The sound of a critical alert, for which an app needs Apple's consent."""

    critical: Annotated[int, Field(ge=0, le=1)] = ABSENT
    name: Word
    volume: Fraction = ABSENT


_word = TypeAdapter(Word, config=ConfigDict(strict=True))


def _sound(value: Any) -> Any:
    """A name, a critical sound, or an empty text for no sound at all."""
    if value == "":
        return value
    if isinstance(value, Mapping):
        return CriticalSound.model_validate(value)
    return _word.validate_python(value)


def _alert(value: Any) -> Any:
    """An alert that is only a text is its body."""
    return {"body": value} if isinstance(value, str) else value


Sound = Annotated[Any, PlainValidator(_sound)]


class Aps(AppleBlock):
    """The keys of `aps`; own keys stand beside it."""

    OURS: ClassVar = {"badge": "is the number of the user's unread messages"}

    alert: Annotated[ApsAlert, BeforeValidator(_alert)] = ABSENT
    sound: Sound = ABSENT
    thread_id: ShortText = ABSENT
    category: Word = ABSENT
    content_available: One = ABSENT
    mutable_content: One = ABSENT
    target_content_id: ShortText = ABSENT
    interruption_level: Literal["passive", "active", "time-sensitive", "critical"] = (
        ABSENT
    )
    relevance_score: Annotated[float, Field(allow_inf_nan=False)] = ABSENT
    filter_criteria: ShortText = ABSENT
    content_changed: Only = ABSENT
    url_args: Words = ABSENT
    timestamp: Whole = ABSENT
    event: Literal["start", "update", "end"] = ABSENT
    content_state: JsonObject = ABSENT
    attributes_type: Word = ABSENT
    attributes: JsonObject = ABSENT
    stale_date: Whole = ABSENT
    dismissal_date: Whole = ABSENT
    input_push_token: One = ABSENT
    input_push_channel: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9+/_-]{1,200}={0,2}$")
    ] = ABSENT

    @property
    def given(self) -> set[str]:
        """Apple's names of the keys that are there."""
        return {apple_name(name) for name in self.model_fields_set}
