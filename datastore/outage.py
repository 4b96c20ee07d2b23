"""What is raised when the database itself does not answer."""

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# OperationalError also means a full disk, a lost lock or a missing table: in every
# case the request may succeed later, unchanged.
OUTAGES = (OperationalError, InterfaceError, PoolTimeout)
