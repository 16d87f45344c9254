"""What earwitness_client.django promises with a worker: run by ``manage.py test``.

MISSING is a recording that the provider lacks.
"""

import os
import time
from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import TransactionTestCase, override_settings
from django.urls import reverse

from earwitness_client.django import get_client, send_on_commit
from earwitness_client.django.models import Job
from earwitness_client.django.signals import job_changed
from earwitness_client.django.states import FOLLOWED, State

MISSING = os.environ.get("MISSING", "")


def call(order: str, *, account: str = "legal", seconds: int = 60) -> Job:
    return send_on_commit(
        get_client().certified_call.request,
        account=account,
        country="ES",
        phone="660111222",
        max_seconds=seconds,
        request_id=order,
    )


def follow() -> str:
    """Run the command until nothing is left to follow but decisions; what it printed."""
    printed = StringIO()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        call_command("earwitness_follow", stdout=printed)
        if not Job.objects.filter(state__in=FOLLOWED - {State.NEEDS_DECISION}).exists():
            return printed.getvalue()
        time.sleep(0.1)
    raise AssertionError(printed.getvalue())


class House(TransactionTestCase):
    def test_what_the_command_learns(self) -> None:
        """Without any notification: the end with its result, a failure with its exception, refusals
        without a job; a request that never arrived is sent again."""
        results = []

        def hear(*, job: Job, result: object, **_: object) -> None:
            results.append((job.state, result))

        job_changed.connect(hear)
        self.addCleanup(job_changed.disconnect, hear)
        placed = call("placed")
        with override_settings(EARWITNESS={"URL": "redis://127.0.0.1:1/0"}):
            lost = call("lost")
        lost.record("sent", reason="")
        missing = send_on_commit(
            get_client().recording.download,
            account="india",
            recording_id=MISSING,
            request_id="missing",
        )
        day = send_on_commit(get_client().export.run, account="india", day="2026-11-10")
        refused = call("refused", account="nobody")
        get_client().recording.download(
            account="india", recording_id="1", request_id="taken"
        ).accepted(30)
        taken = send_on_commit(
            get_client().recording.download,
            account="india",
            recording_id="2",
            request_id="taken",
        )
        printed = follow()
        for job in (placed, lost, missing, day, refused, taken):
            job.refresh_from_db()
        self.assertEqual((day.state, day.request_id), ("done", "day:2026-11-10#1"))
        self.assertEqual((placed.state, placed.arguments, placed.error), ("done", None, ""))
        self.assertIn(f"certified_call.request {placed.request_id}: sent -> ", printed)
        self.assertEqual(lost.state, "done")
        self.assertEqual((missing.state, missing.error), ("failed", "Rejected"))
        self.assertIn("404", missing.reason)
        self.assertEqual((refused.state, refused.error), ("refused", "InvalidArgument"))
        self.assertIsNotNone(refused.arguments)
        self.assertEqual((taken.state, taken.error), ("refused", "RequestConflict"))
        self.assertIsNone(taken.arguments)
        done = [result for state, result in results if state == "done"]
        self.assertEqual(len([one for one in done if one.get("platform_phone")]), 2)
        self.assertEqual([one["archived"] for one in done if "archived" in one], [4])
        self.retry_in_the_admin(missing)

    def retry_in_the_admin(self, failed: Job) -> None:
        """The worker repeats the job as a new one, which has a row and is followed."""
        ana = User.objects.create_superuser("ana", password="x")
        self.client.force_login(ana)
        url = reverse("admin:earwitness_job_retry", args=[failed.pk])
        page = self.client.post(url, {"note": "uploaded since"}, follow=True).content.decode()
        repetition = Job.objects.get(repeats=failed)
        self.assertEqual(repetition.request_id, f"{failed.request_id}#2")
        self.assertIn(repetition.job_id, page)
        self.assertIn(
            repetition.request_id,
            self.client.get(
                reverse("admin:earwitness_job_change", args=[failed.pk])
            ).content.decode(),
        )
        follow()
        repetition.refresh_from_db()
        self.assertEqual((repetition.state, repetition.error), ("failed", ""))
