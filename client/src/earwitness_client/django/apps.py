"""The application as Django knows it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import setting_changed


class EarwitnessConfig(AppConfig):
    """Earwitness: its table of jobs, its checks and its commands."""

    name = "earwitness_client.django"
    label = "earwitness"
    verbose_name = "Earwitness"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of the settings."""
        from .checks import check_settings  # noqa: PLC0415 - once the applications are loaded
        from .clients import on_setting_changed  # noqa: PLC0415

        register(check_settings, "earwitness")
        setting_changed.connect(on_setting_changed)
