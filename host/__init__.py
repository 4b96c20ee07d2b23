"""Our own web host: granian's RSGI interface in front of the WSGI application.

Each worker has one event loop that receives bodies, and threads that answer requests.
The loop waits for slow clients, because waiting there costs no thread.
"""
