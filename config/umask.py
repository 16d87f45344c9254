"""The umask of our processes: other users may read nothing, the group by the operator's choice."""

from __future__ import annotations

import os


def restrict_umask() -> None:
    """Deny other users of this machine all access to the files that this process creates.

    The group's permissions remain those of the operator's umask.
    """
    os.umask(os.umask(0o077) | 0o007)
