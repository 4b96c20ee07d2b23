"""docs/notifications.md: its examples are definitions that can be saved."""

import json
import re

from models import kinds
from models.kinds import patterns
from models.kinds.locales import fallbacks
from tests.field_table import PAGE
from tests.support import kind_requests


def test_the_example_is_a_definition() -> None:
    example = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S)[0])

    canonical = kinds.check(example)

    assert canonical == example
    assert kind_requests.refusal(canonical) is None


def test_every_placeholder_is_on_the_page() -> None:
    page = PAGE.read_text()

    assert [name for name in patterns.NAMES if f"`{{{name}}}`" not in page] == []
    assert [name for name in patterns.CATEGORIES if f"`{name}`" not in page] == []


def test_the_order_of_locales_is_as_the_page_says() -> None:
    rows = re.findall(r"^\| (`[a-zA-Z_-]+`.*?) \| (`.*?) \|$", PAGE.read_text(), re.M)
    orders = [
        (locale, re.findall(r"`([^`]+)`", order))
        for names, order in rows
        if "`default`" in order and "alert" not in order
        for locale in re.findall(r"`([^`]+)`", names)
    ]

    assert len(orders) == 6
    assert [(name, fallbacks(name)) for name, _ in orders] == orders
