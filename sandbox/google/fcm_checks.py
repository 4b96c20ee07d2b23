"""Checks of the fields of a message: each raises FcmRefusal, naming the field."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox.google.fcm_errors import bad_field

LONGEST_TTL_S = 2_419_200
MOST_TOPICS = 5
_RESERVED = re.compile(r"from|message_type|(?:google|gcm).*")
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s")
_LABEL = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
# RFC 3339, of which Python reads more forms than Google.
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)
_IN_TOPICS = re.compile(r"'[^']*'\s+in\s+topics")

Check = Callable[[Any, str], None]


def text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise bad_field(where, "not a string")


def flag(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise bad_field(where, "neither true nor false")


def count(value: Any, where: str) -> None:
    # Protocol Buffers in JSON may write numbers as strings.
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number < 2**31:
        raise bad_field(where, "not a number of 32 bits")


def texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad_field(where, "not a list of strings")


def anything(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise bad_field(where, "not an object")


def text_map(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise bad_field(where, "not an object")
    for key, one in value.items():
        if not isinstance(one, str):
            raise bad_field(f"{where}[{key}]", "not a string")


def data(value: Any, where: str) -> None:
    text_map(value, where)
    for key in value:
        if _RESERVED.fullmatch(key):
            raise bad_field(where, f"Invalid data payload key: {key}")


def duration(value: Any, where: str) -> None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) > LONGEST_TTL_S:
        raise bad_field(where, "not a duration between 0s and four weeks")


def one_of(*names: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in names:
            raise bad_field(where, f"none of {', '.join(names)}")

    return check


def filled_text(value: Any, where: str) -> None:
    text(value, where)
    if not value:
        raise bad_field(where, "empty")


def secure_link(value: Any, where: str) -> None:
    text(value, where)
    if not value.startswith("https://"):
        raise bad_field(where, "not an https URL")


def label(value: Any, where: str) -> None:
    text(value, where)
    if not _LABEL.fullmatch(value):
        raise bad_field(where, "not an analytics label of up to 50 characters")


def color(value: Any, where: str) -> None:
    text(value, where)
    if not _COLOR.fullmatch(value):
        raise bad_field(where, "not a color as #rrggbb")


def moment(value: Any, where: str) -> None:
    text(value, where)
    try:
        datetime.fromisoformat(value)
        is_date = True
    except ValueError:
        is_date = False
    if not is_date or not _MOMENT.fullmatch(value):
        raise bad_field(where, "not a timestamp of RFC 3339")


def pause(value: Any, where: str) -> None:
    """A duration of any length."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise bad_field(where, "not a duration")


def pauses(value: Any, where: str) -> None:
    texts(value, where)
    for one in value:
        pause(one, where)


def light(value: Any, where: str) -> None:
    """All three parts of the light's settings are required."""
    anything(value, where)
    if value.keys() != {"color", "light_on_duration", "light_off_duration"}:
        raise bad_field(where, "needs a color and two durations")
    pause(value["light_on_duration"], f"{where}.light_on_duration")
    pause(value["light_off_duration"], f"{where}.light_off_duration")
    anything(value["color"], f"{where}.color")
    if value["color"].keys() - {"red", "green", "blue", "alpha"}:
        raise bad_field(f"{where}.color", "Cannot find field.")
    for part in value["color"].values():
        if type(part) not in (int, float) or not 0 <= part <= 1:
            raise bad_field(f"{where}.color", "a part is not from 0 to 1")


def condition(value: Any, where: str) -> None:
    text(value, where)
    if not 0 < len(_IN_TOPICS.findall(value)) <= MOST_TOPICS:
        raise bad_field(where, f"not a condition of up to {MOST_TOPICS} topics")
