"""The marked tests run on request: they need tools of the system, or minutes."""

import os
import shutil
from collections.abc import Callable
from typing import NoReturn

import pytest

Tool = Callable[[str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("TEST_DEPLOY") != "yes":
        for item in items:
            if item.get_closest_marker("deploy"):
                item.add_marker(pytest.mark.skip(reason="run make test-deploy"))


@pytest.fixture(scope="session")
def tool(missing: Callable[[str], NoReturn]) -> Tool:
    """The path of an operator's tool."""

    def find(name: str) -> str:
        # Those of an administrator are not on every user's PATH.
        path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
        return shutil.which(name, path=path) or missing(name)

    return find
