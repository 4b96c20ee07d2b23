"""The block `email` of a kind: the subject and both bodies of its mails."""

from typing import Annotated, Any

from models.kinds.fields import ABSENT, Block, Text, Title, plural_or

MailSubject = Annotated[Any, plural_or(Title)]
MailBody = Annotated[Any, plural_or(Text)]


class EmailBlock(Block):
    """Patterns of a mail; in HTML the values are escaped."""

    subject: MailSubject = ABSENT
    text: MailBody = ABSENT
    html: MailBody = ABSENT
