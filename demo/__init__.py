"""`make run`: the server, the sandbox and a demo conversation.

It starts both as processes and calls them by HTTP.
"""
