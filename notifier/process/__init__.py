"""Processes and threads in which engines run, and how they are started and woken."""
