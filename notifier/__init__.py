"""Pushes behind the answer. The words used here, everywhere the same:

chat         who talks together; "conversation" in the API, "groupchat" in addresses
message      what a member wrote
job          a message to be pushed, one row of the outbox; a shard is a part of one
push         that message for one device
device       a token, and the channel that knows it
channel      a provider of pushes: APNs, FCM, and the like
route        one way to a provider: a host under one credential
outcome      how a push ended
claim        a job under a lease: ours until the lease runs out
engine       claims jobs, fans them out, sends, records
tally        counts the outcomes of one job, and says how far it is
recorder     writes down the progress of all jobs of an engine
dispatcher   who tells an engine that there is work, and where that engine runs
news         that there is work: a number at most, which may be lost
bell         takes the news and wakes the engine
slot         the place on a host for one PushProcess
starter      starts PushProcesses, behind the answer
resident     what lives once in each web worker
watchdog     finds the work that nobody was told of
lookout      asks the outbox from outside: is work due, and who died over it?
"""
