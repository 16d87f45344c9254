"""The one error of this folder. It belongs to no other tree, so that no catch-all hides it."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The configuration is missing or wrong: the message names the field, what is wrong with it and
    what to do. It never holds the value of a secret.
    """
