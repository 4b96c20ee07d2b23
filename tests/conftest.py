"""What every test stands on: a clean environment, and servers that have to be there."""

import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from bottlepost import logs
from bottlepost.logs.file import LogFile
from tests.support import databases

# How long an example takes says more about the machine than about us.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LOGGERS = [logging.getLogger(name) for name in (None, logs.AUDIT, *logs.OURS)]
# Their tests may be spread over workers by their parameter.
BY_PARAMETER = {"tests/contracts/test_dispatchers.py"}


@pytest.fixture(scope="session", autouse=True)
def _a_clean_environment() -> None:
    """Settings of whoever runs the tests must not reach them or their children."""
    for variable in [name for name in os.environ if name.startswith("BOTTLEPOST_")]:
        del os.environ[variable]


@pytest.fixture(autouse=True)
def _a_clean_process() -> Iterator[None]:
    """What runs a command or builds the app here changes this process for all tests."""
    environment = dict(os.environ)
    found = [(each, each.level, each.propagate) for each in LOGGERS]
    yield
    for logger, level, propagate in found:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in logger.handlers[:]:
            if isinstance(handler, logs.Stderr | LogFile):
                logger.removeHandler(handler)
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)


def pytest_sessionfinish() -> None:
    # At its exit a process of the runner's has too little time for it.
    databases.end()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile`, but the long file of the dispatchers is several."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            # What is in the brackets is the dispatcher.
            return test.partition("[")[2] if file in BY_PARAMETER else file

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Called when a server is not installed: a laptop goes on, CI must have it."""

    def missing(server: str) -> NoReturn:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{server} is missing, and CI leaves no test out")
        pytest.skip(f"{server} is not installed here")

    return missing
