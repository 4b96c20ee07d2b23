"""Texts of which nothing is seen."""

import pytest

from models.texts import is_blank


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "\u00a0\u2003\u3000",
        "\u200b\u200d\ufeff\u2060",
        "\u202e\u2066\u2069",
        "\u00ad",
        "\u3164",
        "\u115f\u1160",
        "\ufe0f",
        "\u2800",
        "\U000e0020\U000e007f",
        "\u034f \u180e",
    ],
)
def test_invisible_characters_are_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize(
    "text", ["a", "\u200ba", "é", "🚢", "।", "한", "\u0301", "\ue000", "½", "\ufffd"]
)
def test_whatever_may_be_seen_is_not(text: str) -> None:
    assert not is_blank(text)
