"""Dispatcher `celery`: wake-ups go to Celery workers through Redis or RabbitMQ."""

from collections.abc import Sequence
from typing import Any

from celery import Celery

from config import Settings
from notifier.process import engine_thread, redis_options
from notifier.process.wake_sender import WakeSender

TASK = "bottlepost.push"
QUEUE = "bottlepost"
# For one exchange with the broker, on the wake sender's thread; no request waits.
TIMEOUT_S = 2.0
# For an answer of Redis, which a worker waits for a second at a time.
ANSWER_S = 5.0


def create(settings: Settings) -> WakeSender:
    return WakeSender(settings, BrokerLink)


def application(settings: Settings) -> Celery:
    """The Celery application, for the web worker and for the worker."""
    celery = Celery("bottlepost", broker=settings.broker_url, set_as_current=False)
    options: dict[str, Any] = {}
    if _is_redis(settings):
        # A task that is not done by then is given to another worker. A task ends
        # earlier (LONGEST_WORK_S); otherwise its job would only be looked at twice.
        options = {
            "visibility_timeout": 2 * engine_thread.LONGEST_WORK_S,
            "socket_connect_timeout": TIMEOUT_S,
            # A worker asks for a task every second, so it may wait no shorter.
            **redis_options.options(settings.broker_url, ANSWER_S),
        }
    celery.conf.update(
        task_default_queue=QUEUE,
        # Wake-ups are not written to disk, because the outbox keeps the jobs.
        task_default_delivery_mode="transient",
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # The task of a killed process goes back to the queue; a process holds only one.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=options,
        broker_connection_timeout=TIMEOUT_S,
        broker_pool_limit=1,
        worker_concurrency=settings.pool_size,
    )
    return celery


class BrokerLink:
    """Publishes job ids; they expire, because the watchdog repeats the wake-up."""

    def __init__(self, settings: Settings, _number: int = 0) -> None:
        self._celery = application(settings)
        self._connection = self._celery.connection_for_write()
        self._connection.ensure_connection(max_retries=1, timeout=TIMEOUT_S)
        self._is_redis = _is_redis(settings)
        if not self._is_redis:
            # There is no other timeout for the responses of a RabbitMQ that hangs.
            self._connection.connection.sock.settimeout(TIMEOUT_S)
        self._producer = self._celery.amqp.Producer(self._connection)
        self._expiry_s = max(settings.watchdog_s * 10, 60)

    def send(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            self._celery.send_task(
                TASK,
                (job_id,),
                producer=self._producer,
                expires=self._expiry_s,
                retry=False,
            )
        if not self._is_redis:
            # A write to a dead connection may succeed; a response confirms the writes.
            self._producer.channel.queue_declare(QUEUE, passive=True)

    def close(self) -> None:
        self._connection.release()
        self._celery.close()


def _is_redis(settings: Settings) -> bool:
    return settings.broker_url.startswith("redis")
