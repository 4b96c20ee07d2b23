"""Dispatcher `thread`: a warm engine on a thread of the web worker.

It shares the web worker's interpreter, so pushing slows down the worker's answers.
"""

from notifier.process.engine_thread import EngineThreadDispatcher

create = EngineThreadDispatcher
