"""`make run`: the server beside a sandbox, with a conversation to try it on.

A program of its own: it starts both as processes and speaks HTTP with them.
"""
