"""A rival of `others`: Celery as its "First Steps" show it, with Redis as broker.

celery --app celery_push.celery worker
"""

import os

import chat
from celery import Celery

celery = Celery("celery_push", broker=os.environ["RIVAL_REDIS"])


@celery.task(ignore_result=True)
def push(message_id: int) -> None:
    chat.push(message_id)


app = chat.application(after=push.delay)
