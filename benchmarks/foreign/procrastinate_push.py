"""A rival of `others`: procrastinate, whose job is part of the message's transaction.

procrastinate --app procrastinate_push.queue schema --apply
procrastinate --app procrastinate_push.queue worker
"""

import chat
import procrastinate
import psycopg

queue = procrastinate.App(connector=procrastinate.PsycopgConnector())


@queue.task
def push(message_id: int) -> None:
    chat.push(message_id)


def defer(database: psycopg.Connection, message_id: int) -> None:
    push.configure(connection=database).defer(message_id=message_id)


def application() -> object:
    """For the web server; a worker opens the connector in its own way."""
    queue.open()
    return chat.application(within=defer)
