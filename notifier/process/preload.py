"""Everything an engine needs, imported once in the process it is forked from."""

import notifier.process.push_process  # noqa: F401 - imported to be there
from notifier import engine

engine.preload()
