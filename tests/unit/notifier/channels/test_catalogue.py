"""Our own texts are in the language of the device."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import catalogue as files
from notifier.channels import catalogue
from notifier.channels.catalogue import BuiltIn
from notifier.engine import redact
from tests.support.notifications import make_notification
from tests.support.paths import ROOT

NOON = datetime(2025, 3, 9, 12, 5, tzinfo=UTC)
LANGUAGES = sorted(files.read(ROOT / "notifier" / "channels" / "texts"))


@pytest.fixture(autouse=True)
def ours_again() -> Iterator[None]:
    yield
    catalogue.use(None)


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        (None, "New message"),
        ("en-GB", "New message"),
        ("tlh", "New message"),
        ("not a locale", "New message"),
        ("de", "Neue Nachricht"),
        ("de-AT", "Neue Nachricht"),
        ("de_CH", "Neue Nachricht"),
        ("DE", "Neue Nachricht"),
        ("fr-CA", "Nouveau message"),
        ("es-419", "Mensaje nuevo"),
        ("ja-JP", "新着メッセージ"),
        ("pt", "Nova mensagem"),
        ("pt-BR", "Nova mensagem"),
        ("pt-PT", "Nova mensagem"),
        ("ar-EG", "رسالة جديدة"),
    ],
)
def test_a_device_reads_its_language_or_english(locale: str | None, words: str) -> None:
    assert catalogue.text("new_message", locale) == words


@pytest.mark.parametrize("locale", LANGUAGES)
def test_every_language_has_its_words_and_dates(locale: str) -> None:
    assert catalogue.language(locale) == locale
    assert "7" in catalogue.text("conversation", locale, number=7)
    assert "Ada" in catalogue.text("byline", locale, sender="Ada", time="now")
    told = catalogue.time(NOON, locale)
    assert "2025" in told
    assert told.endswith("12:05 UTC")


@pytest.mark.parametrize(
    ("locale", "told"),
    [
        (None, "2025-03-09 12:05 UTC"),
        ("de-AT", "9. März 2025, 12:05 UTC"),
        ("fr", "9 mars 2025, 12:05 UTC"),
        ("ja", "2025年3月9日 12:05 UTC"),
        ("pt-BR", "9 de março de 2025, 12:05 UTC"),
    ],
)
def test_dates_are_written_as_readers_know_them(locale: str | None, told: str) -> None:
    assert catalogue.time(NOON, locale) == told


@pytest.mark.parametrize("locale", [each for each in LANGUAGES if each != "ar"])
def test_only_arabic_is_written_from_right_to_left(locale: str) -> None:
    assert not catalogue.is_right_to_left(locale)
    assert catalogue.is_right_to_left("ar-MA")


def test_files_add_languages_and_change_words(tmp_path: Path) -> None:
    (tmp_path / "nl.json").write_text('{"new_message": "Nieuw bericht"}')
    (tmp_path / "de.json").write_text('{"new_message": "Post!"}')
    (tmp_path / "pt-PT.json").write_text('{"somebody": "Quem?"}')
    (tmp_path / "de-AT.json").write_text('{"somebody": "Irgendwer"}')

    catalogue.use(tmp_path)

    assert catalogue.text("new_message", "nl-BE") == "Nieuw bericht"
    # What a file leaves out comes from English, or from the language without region.
    assert catalogue.text("message_deleted", "nl") == "Message deleted"
    assert catalogue.time(NOON, "nl") == "2025-03-09 12:05 UTC"
    assert catalogue.text("new_message", "de") == "Post!"
    assert catalogue.text("message_deleted", "de") == "Nachricht gelöscht"
    assert catalogue.text("new_message", "de-AT") == "Post!"
    assert catalogue.text("somebody", "de-AT") == "Irgendwer"
    assert catalogue.text("somebody", "pt-PT") == "Quem?"
    assert catalogue.text("new_message", "pt-PT") == "Nova mensagem"
    assert catalogue.text("new_message", "fr") == "Nouveau message"


def test_words_with_braces_and_names_stay_as_they_are() -> None:
    assert catalogue.text("byline", "de", sender="{time}", time="1") == "{time}, 1:"


@pytest.mark.parametrize("preview", ["sender", "none"])
def test_what_stands_for_a_hidden_message_is_translated(preview: str) -> None:
    hidden = redact.redact(make_notification(), preview)

    shown = catalogue.localize(hidden, "de-AT")

    assert catalogue.has_built_in(hidden)
    texts = shown.sender_name, shown.text
    wanted = {"sender": ("Ada", "Neue Nachricht"), "none": ("Neue Nachricht", "")}
    assert texts == wanted[preview]
    assert shown.locale == "de"


def test_what_a_member_writes_is_never_translated() -> None:
    written = make_notification(sender_name="New message", text="Message deleted")

    shown = catalogue.localize(written, "de")

    assert not catalogue.has_built_in(written)
    assert (shown.sender_name, shown.text) == ("New message", "Message deleted")
    assert BuiltIn("new_message") == "New message"
