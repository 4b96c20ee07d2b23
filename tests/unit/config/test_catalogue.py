"""The files with our own texts are checked before the first message needs one."""

import json
from pathlib import Path
from typing import Any

import pytest

import config
from config import SettingsError, catalogue
from config.catalogue import TEXTS
from tests.support.paths import ROOT

OURS = ROOT / "notifier" / "channels" / "texts"
BASE = {"BOTTLEPOST_SERVICE_KEY": "x" * 16}


def _start(folder: Path, name: str, content: str) -> config.Settings:
    texts = folder / "texts"
    texts.mkdir()
    (texts / name).write_text(content)
    return config.from_env(
        {
            **BASE,
            "BOTTLEPOST_RUN_DIR": str(folder),
            "BOTTLEPOST_CATALOGUE_DIR": str(texts),
        }
    )


@pytest.mark.parametrize("path", sorted(OURS.iterdir()), ids=lambda path: path.stem)
def test_each_of_our_languages_has_all_texts(path: Path) -> None:
    assert catalogue.read(OURS)[path.stem].keys() == TEXTS.keys()


def test_our_own_files_pass_the_check() -> None:
    catalogue.check(OURS)


@pytest.mark.parametrize(
    "name", ["nl.json", "pt-PT.json", "zh-Hant.json", "es-419.json"]
)
def test_a_language_may_have_some_of_the_texts(tmp_path: Path, name: str) -> None:
    settings = _start(tmp_path, name, '{"new_message": "!"}')

    assert settings.catalogue_dir == tmp_path / "texts"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("nl.json", "{", "nl.json"),
        ("nl.json", "[]", "must be a JSON object"),
        ("nl.json", {"newmessage": "Nieuw"}, "no text 'newmessage'"),
        ("nl.json", {"new_message": ""}, "1 to 200 characters"),
        ("nl.json", {"new_message": 7}, "1 to 200 characters"),
        ("nl.json", {"new_message": "x" * 201}, "1 to 200 characters"),
        ("nl.json", {"new_message": "a\r\nBcc: b"}, "one line"),
        ("nl.json", {"new_message": "{sender}"}, "must show no values"),
        ("nl.json", {"conversation": "Gesprek"}, "must show {number}"),
        ("nl.json", {"conversation": "Gesprek {number:>9}"}, "no format"),
        ("nl.json", {"conversation": "Gesprek {number!r}"}, "no format"),
        ("nl.json", {"conversation": "Gesprek {number.real}"}, "must show {number}"),
        ("nl.json", {"byline": "{sender} {"}, "wrong file"),
        ("nl.json", {"time": "d MMMM 'om HH:mm"}, "quote"),
        ("nl.json", {"time": "d MMMM om HH:mm"}, "unknown field 'o'"),
        ("dutch.json", {"new_message": "Nieuw"}, "its name must be like"),
        ("nl_NL.json", {"new_message": "Nieuw"}, "its name must be like"),
        ("qq.json", {"new_message": "Nieuw"}, "no such locale"),
        ("nl.txt", {}, "no files such as de.json"),
    ],
)
def test_a_wrong_file_stops_the_start(
    tmp_path: Path, name: str, content: Any, problem: str
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)

    with pytest.raises(SettingsError, match="BOTTLEPOST_CATALOGUE_DIR") as refused:
        _start(tmp_path, name, text)

    assert problem in str(refused.value)


def test_a_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no directory"):
        config.from_env(
            {
                **BASE,
                "BOTTLEPOST_RUN_DIR": str(tmp_path),
                "BOTTLEPOST_CATALOGUE_DIR": str(tmp_path / "none"),
            }
        )
