"""A small web app that saves a job and dispatches it, for any WSGI host to run."""

import base64
import json
import os
import pickle
import sys

import bottle

from config import Settings
from datastore import Datastore
from host.rsgi import RsgiApp
from notifier.dispatchers.process import ProcessDispatcher
from tests.support.chats import post
from tests.support.fake_engine import FakeEngines
from tests.support.web_worker import socket_names

VARIABLE = "HOST_TEST_SETTINGS"


def environment(settings: Settings) -> dict[str, str]:
    """Variables that pass the settings to the app through any host."""
    return {VARIABLE: base64.b64encode(pickle.dumps(settings)).decode()}


def create_app() -> bottle.Bottle:
    settings = pickle.loads(base64.b64decode(os.environ[VARIABLE]))
    store = Datastore(settings.database_url)
    dispatcher = ProcessDispatcher(settings, FakeEngines())
    app = bottle.Bottle()

    @app.post("/send/<chat_id:int>")
    def send(chat_id: int) -> str:
        job_id = post(store, chat_id)
        dispatcher.dispatch(job_id)
        sockets = [name for name in socket_names("self") if "socket" in name]
        return json.dumps({"job": job_id, "pid": os.getpid(), "sockets": sockets})

    dispatcher.start()
    return app


def create_rsgi_app() -> RsgiApp:
    """The same, for our own host."""
    return RsgiApp(create_app(), threads=4)


if __name__ == "__main__":
    # Bottle's own server.
    bottle.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), quiet=True)
