"""What the errors of MariaDB's driver mean, whether they have a SQLSTATE or not."""

import struct
from typing import Any

import pytest
from pymysql import err
from sqlalchemy.exc import DBAPIError

from datastore import outages

HOW = pytest.mark.parametrize("has_state", [True, False])


def error(number: int, state: str, has_state: bool) -> Any:
    """The error as the driver makes it of a server's answer."""
    if not has_state:
        return err.OperationalError(number, "text")
    packet = b"\xff" + struct.pack("<h", number) + f"#{state}text".encode()
    with pytest.raises(err.MySQLError) as caught:
        err.raise_mysql_exception(packet)
    return caught.value


@HOW
@pytest.mark.parametrize(
    ("number", "state"), [(1213, "40001"), (1205, "HY000"), (1020, "HY000")]
)
def test_a_transaction_that_was_undone_may_be_run_again(
    number: int, state: str, has_state: bool
) -> None:
    problem = error(number, state, has_state)

    assert outages.was_undone(DBAPIError("", None, problem))
    assert not outages.is_lost(problem)


@HOW
@pytest.mark.parametrize(
    ("number", "state"), [(1290, "HY000"), (1792, "25006"), (1836, "HY000")]
)
def test_a_server_that_is_read_only_is_left(
    number: int, state: str, has_state: bool
) -> None:
    problem = error(number, state, has_state)

    assert outages.is_read_only(problem)
    assert outages.is_lost(problem)
    assert not outages.was_undone(DBAPIError("", None, problem))


@HOW
@pytest.mark.parametrize(("number", "state"), [(1053, "08S01"), (1927, "70100")])
def test_a_connection_that_was_ended_is_lost(
    number: int, state: str, has_state: bool
) -> None:
    assert outages.is_lost(error(number, state, has_state))


@HOW
def test_any_other_error_is_none_of_these(has_state: bool) -> None:
    problem = error(1064, "42000", has_state)

    assert not outages.is_lost(problem)
    assert not outages.is_read_only(problem)
    assert not outages.was_undone(DBAPIError("", None, problem))
