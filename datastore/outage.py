"""What is raised when the database itself does not answer."""

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# OperationalError also means a full disk, a lost lock or a missing table: in every
# case the request may succeed later, unchanged. OSError comes from the file that the
# embedded database's writers queue on.
OUTAGES = (OperationalError, InterfaceError, PoolTimeout, OSError)
