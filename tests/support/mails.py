"""What the tests of mails have in common."""

from datetime import UTC, datetime
from email.headerregistry import Address

NOW = datetime(2025, 6, 15, 12, 30, tzinfo=UTC)
SENDER = Address("Harbour Chat", addr_spec="chat@harbour.example")
# All header fields of a mail without one-click unsubscription.
HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "List-Unsubscribe",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
}
