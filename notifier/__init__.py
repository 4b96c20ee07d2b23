"""Sends pushes after the message's sender has had the answer.

These words are used everywhere the same:

chat         a conversation; "conversation" in the API, "groupchat" in addresses
message      what a member wrote
job          a message to be pushed, one row of the outbox
shard        a part of a large job
push         a message for one device
device       a token, and the channel that it belongs to
channel      a provider of pushes: APNs, FCM, web push, mail
route        one way to a provider: a host and a credential
outcome      how a push ended
claim        a job under a lease; until the lease ends, no other engine takes the job
engine       claims jobs, finds their devices, sends, and records the outcomes
tally        counts the outcomes of one job
recorder     writes the progress of all jobs of an engine to the database
wake-up      tells an engine that work is due; it is a job's id at most, and may be lost
dispatcher   sends wake-ups for new jobs, and decides where the engine runs
link         a dispatcher's connection to its workers
slot         a place for one engine process on a host: a lock and a wake socket
starter      starts PushProcesses outside of requests
PushProcess  the process that runs the engine of the dispatcher `process`
watchdog     regularly looks for due work, because wake-ups may be lost
"""
