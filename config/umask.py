"""Who else may read what we write: nobody but the group."""

from __future__ import annotations

import os


def keep_from_others() -> None:
    """From now on no other user of this machine may read or change what this process creates: the
    ledger, recordings, what is unfinished. What the group may is for the operator's umask to say.
    """
    os.umask(os.umask(0o077) | 0o007)
