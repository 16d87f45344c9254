"""``manage.py earwitness_follow``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from earwitness_client.django.following import follow


class Command(BaseCommand):
    """Send what was not sent, and learn what became of the jobs that have not ended."""

    help = (
        "Send the requests that were not sent, and ask the worker about jobs whose outcome "
        "is not known. Run it every few minutes; several may run at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the only option."""
        parser.add_argument(
            "--timeout",
            type=float,
            default=30,
            help="seconds to wait for the worker at each step (default: 30)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Make one pass, print what changed, and fail if something could not be sent or asked."""
        found = follow(options["timeout"])
        for job, previous in found.changes if options["verbosity"] else ():
            reason = f" ({job.reason})" if job.reason else ""
            self.stdout.write(f"{job}: {previous} -> {job.state}{reason}")
        if found.problems:
            raise CommandError("\n".join(found.problems))
