"""Pushes behind the answer. The words used here, everywhere the same:

message      what a member wrote
job          a message to be pushed, one row of the outbox; a shard is a part of one
push         that message for one device
device       a token, and the channel that knows it
channel      a provider of pushes: APNs, FCM, and the like
route        one way to a provider: a host under one credential
outcome      how a push ended
claim        a job under a lease: ours until the lease runs out
engine       claims jobs, fans them out, sends, records
dispatcher   who tells an engine that there is work, and where that engine runs
slot         the place on a host for one PushProcess
"""
