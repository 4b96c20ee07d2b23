"""Our own host: granian's RSGI interface in front of the WSGI application.

A door is one event loop that receives bodies, and threads that answer requests. Who
sends slowly is waited for by the loop, where waiting costs no thread.
"""
