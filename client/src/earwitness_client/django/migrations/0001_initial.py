"""The table of jobs."""

from typing import Any, ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table."""

    initial = True

    dependencies: ClassVar[list[Any]] = [
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("task", models.CharField(max_length=64)),
                ("account", models.CharField(blank=True, max_length=40)),
                ("request_id", models.CharField(max_length=160, verbose_name="request id")),
                ("job_id", models.CharField(db_index=True, max_length=36, verbose_name="job id")),
                ("task_id", models.CharField(blank=True, max_length=36, verbose_name="task id")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("to_send", "to be sent"),
                            ("sent", "sent, not yet accepted"),
                            ("refused", "refused: no job was opened"),
                            ("pending", "accepted"),
                            ("running", "running"),
                            ("sending", "being sent to the provider"),
                            ("waiting", "waiting"),
                            ("needs_decision", "needs a decision"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        db_index=True,
                        default="to_send",
                        max_length=16,
                    ),
                ),
                ("error", models.CharField(blank=True, max_length=64, verbose_name="exception")),
                ("reason", models.TextField(blank=True)),
                ("arguments", models.JSONField(editable=False, null=True)),
                ("subject_id", models.CharField(blank=True, max_length=64)),
                (
                    "requested_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="requested"
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="created"),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="updated"),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                (
                    "repeats",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="repetitions",
                        to="earwitness.job",
                    ),
                ),
                (
                    "subject_type",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="contenttypes.contenttype",
                    ),
                ),
            ],
            options={
                "ordering": ("-pk",),
                "permissions": (("retry_job", "Can retry jobs"),),
                "indexes": [
                    models.Index(
                        fields=["subject_type", "subject_id"], name="earwitness_job_subject"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "task", "request_id"), name="earwitness_job_request"
                    )
                ],
            },
        ),
    ]
