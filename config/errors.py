"""The error of invalid configuration, outside all other hierarchies so that no handler hides it."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The configuration is missing or wrong.

    The message names the field, the fault and the remedy, and never contains a secret's value.
    """
