"""The registry of the dispatchers."""

import inspect
from pathlib import Path

import pytest

from config import Settings, SettingsError
from notifier import dispatchers


def _settings(tmp_path: Path, name: str) -> Settings:
    return Settings(
        database_url="sqlite://",
        dispatcher=name,
        run_dir=tmp_path,
        service_key="a key nobody needs here",
        push_slots=1,
    )


def test_an_unknown_dispatcher_is_refused_with_the_names_there_are(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError) as refusal:
        dispatchers.create(_settings(tmp_path, "carrier pigeon"))

    assert refusal.value.variable == "BOTTLEPOST_DISPATCHER"
    assert "carrier pigeon" in str(refusal.value)
    assert all(name in str(refusal.value) for name in dispatchers.DISPATCHERS)


def test_a_missing_extra_says_which_installation_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dispatchers.DISPATCHERS, "pigeon", "not_installed_here")
    monkeypatch.setitem(dispatchers.EXTRAS, "pigeon", "birds")

    with pytest.raises(SettingsError, match=r"pip install -e '.\[birds\]'"):
        dispatchers.create(_settings(tmp_path, "pigeon"))


@pytest.mark.parametrize("name", ["inline", "thread", "process"])
def test_every_dispatcher_has_the_methods_of_the_protocol(
    name: str, tmp_path: Path
) -> None:
    dispatcher = dispatchers.create(_settings(tmp_path, name))

    for method in ("start", "dispatch", "close"):
        wanted = inspect.signature(getattr(dispatchers.Dispatcher, method))
        has = inspect.signature(getattr(type(dispatcher), method))
        assert list(has.parameters) == list(wanted.parameters)


@pytest.mark.parametrize("name", ["inline", "thread", "process"])
def test_closing_what_was_never_started_does_no_harm(name: str, tmp_path: Path) -> None:
    dispatchers.create(_settings(tmp_path, name)).close()
