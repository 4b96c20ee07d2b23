"""Two processes with the same fingerprint push alike."""

from dataclasses import replace
from pathlib import Path

import pytest

import config
from config import Settings, fingerprint


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return config.from_env(
        {"BOTTLEPOST_RUN_DIR": str(tmp_path), "BOTTLEPOST_SERVICE_KEY": "k" * 16}
    )


@pytest.mark.parametrize(
    ("public_url", "is_same"), [(None, True), ("https://chat.example.org", False)]
)
def test_service_key_matters_to_the_links_in_mails_only(
    settings: Settings, public_url: str | None, is_same: bool
) -> None:
    one = replace(settings, public_url=public_url)
    other = replace(one, service_key="x" * 16)
    names = ["service_key"]

    assert (fingerprint.of(one, b"") == fingerprint.of(other, b"")) == is_same
    assert (
        fingerprint.of_each(one, b"", names) == fingerprint.of_each(other, b"", names)
    ) == is_same


def test_rules_for_members_do_not_matter_to_pushes(settings: Settings) -> None:
    other = replace(settings, add_members="service", user_adds_per_hour=1)

    assert fingerprint.of(settings, b"") == fingerprint.of(other, b"")


def test_the_content_of_our_own_texts_matters(
    settings: Settings, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    file = texts / "nl.json"
    file.write_text('{"new_message": "Bericht"}')
    with_texts = replace(settings, catalogue_dir=texts)
    before = fingerprint.of(with_texts, b"")

    file.write_text('{"new_message": "Nieuw bericht"}')

    assert fingerprint.of(with_texts, b"") != before
    assert before != fingerprint.of(settings, b"")
