"""Which patterns a device's locale falls back to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.kinds.locales import canonical, fallbacks


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("de-AT", "de-AT de default"),
        ("de_at", "de-AT de default"),
        ("zh-Hant-TW", "zh-Hant-TW zh-Hant zh default"),
        ("DE", "de default"),
        ("es-419", "es-419 es default"),
        ("de-CH-1996", "de-CH-1996 de-CH de default"),
        ("en-US-u-ca-gregory", "en-US en default"),
        ("de_DE.UTF-8", "de-DE de default"),
        ("sr_RS@latin", "sr-RS sr default"),
        # As Java writes it.
        ("zh_TW_#Hant", "zh-Hant-TW zh-Hant zh default"),
        ("zh__#Hans", "zh-Hans zh default"),
        ("en_US_#u-fw-mon", "en-US en default"),
        ("sr_RS_#Latn_u-fw-mon", "sr-Latn-RS sr-Latn sr default"),
    ],
)
def test_a_locale_falls_back_to_its_language(locale: str, expected: str) -> None:
    assert fallbacks(locale) == expected.split()


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("zh-TW", "zh-TW zh-Hant zh default"),
        ("zh-CN", "zh-CN zh default"),
        ("sr-ME", "sr-ME sr-Latn sr default"),
    ],
)
def test_a_region_may_imply_another_script(locale: str, expected: str) -> None:
    assert fallbacks(locale) == expected.split()


def test_old_codes_are_read_as_new_ones() -> None:
    assert fallbacks("iw_IL") == ["he-IL", "he", "default"]
    assert fallbacks("in") == ["id", "default"]


def test_both_forms_of_norwegian_share_patterns() -> None:
    assert fallbacks("nb-NO") == ["nb-NO", "nb", "no", "default"]


@pytest.mark.parametrize(
    "locale", [None, "", "-", "x", "C.UTF-8", "german", "12", "d\0", "de--", "é"]
)
def test_what_is_no_locale_falls_back_to_the_default(locale: str | None) -> None:
    assert fallbacks(locale)[-1] == "default"


@given(st.text(max_size=40))
def test_no_text_is_an_error(text: str) -> None:
    found = fallbacks(text)

    assert found[-1] == "default"
    assert len(found) == len(set(found))


@given(st.from_regex(r"[a-z]{2}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", fullmatch=True))
def test_a_canonical_locale_stays_as_it_is(locale: str) -> None:
    name = canonical(locale)

    assert name is not None
    assert canonical(name) == name
