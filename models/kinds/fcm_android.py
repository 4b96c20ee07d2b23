"""What a message of FCM says to Android."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from models.kinds.fields import (
    ABSENT,
    Block,
    Color,
    Duration,
    Fraction,
    Https,
    Label,
    Moment,
    ShortText,
    Text,
    Texts,
    Ttl,
    Word,
    is_partial,
    refuse,
)


class AnalyticsOptions(Block):
    analytics_label: Label = ABSENT


class LightColor(Block):
    red: Fraction = ABSENT
    green: Fraction = ABSENT
    blue: Fraction = ABSENT
    alpha: Fraction = ABSENT


class LightSettings(Block):
    """The light of a phone; all three parts are needed."""

    color: LightColor
    light_on_duration: Duration
    light_off_duration: Duration


class AndroidNotification(Block):
    """`android.notification`."""

    OURS: ClassVar = {
        "notification_count": "is the number of the user's unread messages"
    }

    title: ShortText = ABSENT
    body: Text = ABSENT
    title_loc_key: Word = ABSENT
    body_loc_key: Word = ABSENT
    title_loc_args: Texts = ABSENT
    body_loc_args: Texts = ABSENT
    icon: Word = ABSENT
    color: Color = ABSENT
    sound: Word = ABSENT
    tag: ShortText = ABSENT
    click_action: Word = ABSENT
    channel_id: Word = ABSENT
    ticker: Text = ABSENT
    sticky: bool = ABSENT
    local_only: bool = ABSENT
    event_time: Moment = ABSENT
    notification_priority: Literal[
        "PRIORITY_UNSPECIFIED",
        "PRIORITY_MIN",
        "PRIORITY_LOW",
        "PRIORITY_DEFAULT",
        "PRIORITY_HIGH",
        "PRIORITY_MAX",
    ] = ABSENT
    default_sound: bool = ABSENT
    default_vibrate_timings: bool = ABSENT
    default_light_settings: bool = ABSENT
    vibrate_timings: Annotated[list[Duration], Field(max_length=100)] = ABSENT
    light_settings: LightSettings = ABSENT
    visibility: Literal["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"] = (
        ABSENT
    )
    image: Https = ABSENT
    proxy: Literal["ALLOW", "DENY", "IF_PRIORITY_LOWERED"] = ABSENT
    bypass_proxy_notification: bool = ABSENT

    @model_validator(mode="after")
    def _have_keys(self, info: ValidationInfo) -> Self:
        given = self.model_fields_set
        refuse(
            {
                f"{part}_loc_args": f"needs {part}_loc_key"
                for part in ("title", "body")
                if f"{part}_loc_args" in given and f"{part}_loc_key" not in given
            }
            if not is_partial(info)
            else {}
        )
        return self


def _own_data(data: dict[str, str]) -> dict[str, str]:
    refuse({name: "is a reserved name" for name in data if _is_reserved(name)})
    return data


def _is_reserved(name: str) -> bool:
    """Whether Apple, Google or Bottlepost uses this key of the data."""
    return name in ("aps", "from", "message_type", "bottlepost") or name.startswith(
        ("google", "gcm")
    )


def _lower(value: Any) -> Any:
    """Google takes these names in lower case, too, and nothing in between."""
    return value.lower() if value in ("NORMAL", "HIGH") else value


DataKey = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$")]


class AndroidConfig(Block):
    """`android` of FCM's message."""

    collapse_key: ShortText = ABSENT
    priority: Annotated[Literal["normal", "high"], BeforeValidator(_lower)] = ABSENT
    ttl: Ttl = ABSENT
    restricted_package_name: Word = ABSENT
    # FCM would put it in the place of all other data; Bottlepost adds it to them.
    data: Annotated[
        dict[DataKey, Text], Field(max_length=32), AfterValidator(_own_data)
    ] = ABSENT
    notification: AndroidNotification = ABSENT
    fcm_options: AnalyticsOptions = ABSENT
    direct_boot_ok: bool = ABSENT
    bandwidth_constrained_ok: bool = ABSENT
    restricted_satellite_ok: bool = ABSENT
