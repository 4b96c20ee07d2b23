"""Everything an engine needs, imported once in the process it is forked from."""

import gc
import os
import sys

import notifier.process.push_process  # noqa: F401 - imported to be there
from notifier import engine

engine.preload()

# Only in the fork server itself, which Python runs as `-c`.
if sys.argv[0] == "-c":
    # The collector would write to the memory pages that the children share with us.
    gc.freeze()
    # A reader of the host's output must not wait for us after the host has ended.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
