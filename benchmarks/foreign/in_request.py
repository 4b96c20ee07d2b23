"""A rival of `others`: the request pushes to all devices before it is answered."""

import chat

app = chat.application(after=chat.push)
