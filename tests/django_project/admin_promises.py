"""What the admin's pages of jobs promise, without a worker: run by ``manage.py test``."""

from asking import CALL, NUMBER, call, empty_redis, queued
from django.contrib.auth.models import Permission, User
from django.test import TransactionTestCase
from django.urls import reverse
from shop.models import Order

from earwitness_client.django.models import Job


class Admin(TransactionTestCase):
    def setUp(self) -> None:
        empty_redis()
        self.user = User.objects.create_user("ana", password="x", is_staff=True)
        self.allow("view_job")
        self.client.force_login(self.user)

    def allow(self, name: str) -> None:
        self.user.user_permissions.add(Permission.objects.get(codename=name))

    def row(self, state: str, task: str = "recording.download", **fields: object) -> Job:
        given = {"account": "india", "request_id": f"{state}-1", "job_id": state, "state": state}
        return Job.objects.create(task=task, **{**given, **fields})

    def page(self, name: str, *args: object) -> str:
        return self.client.get(reverse(f"admin:earwitness_job_{name}", args=args)).content.decode()

    def test_reading(self) -> None:
        """The list has states, filters and a search by any id; nothing can be added, changed or
        deleted; the arguments are not shown."""
        order = Order.objects.create(phone=NUMBER)
        call(subject=order)
        job = self.row("failed", reason="not done: 404")
        text = self.page("changelist")
        for shown in ("order-1", "failed", "not done: 404", f"shop.order {order.pk}"):
            self.assertIn(shown, text)
        found = self.client.get(reverse("admin:earwitness_job_changelist"), {"q": "failed"})
        self.assertEqual(found.context["cl"].result_count, 1)
        filtered = self.client.get(reverse("admin:earwitness_job_changelist"), {"state": "sent"})
        self.assertEqual(filtered.context["cl"].result_count, 1)
        text += self.page("change", job.pk) + self.page("change", Job.objects.last().pk)
        self.assertNotIn(NUMBER, text)
        self.assertNotIn("/retry/", text)
        for name, args in (("add", ()), ("delete", (job.pk,))):
            url = reverse(f"admin:earwitness_job_{name}", args=args)
            self.assertEqual(self.client.post(url).status_code, 403)

    def test_who_may_retry(self) -> None:
        """Without the permission there is neither button, page nor action; with it, a page asks for
        the reason before anything is done."""
        job = call()
        url = reverse("admin:earwitness_job_retry", args=[job.pk])
        action = {"action": "retry_jobs", "_selected_action": [job.pk], "note": "x"}
        self.assertEqual(self.client.post(url, {"note": "x"}).status_code, 403)
        self.client.post(reverse("admin:earwitness_job_changelist"), action)
        self.assertEqual(len(queued()), 1)
        self.allow("retry_job")
        self.assertIn(url, self.page("change", job.pk))
        self.assertIn("done once", self.client.post(url).content.decode())
        self.assertEqual(len(queued()), 1)
        said = self.client.post(url, {"note": "lost?"}, follow=True).content.decode()
        self.assertIn("retried", said)
        self.assertEqual(len(queued()), 2)
        answer = self.client.post(reverse("admin:earwitness_job_changelist"), action, follow=True)
        self.assertIn("retried", answer.content.decode())
        self.assertEqual({one["headers"]["task"] for one in queued()}, {f"earwitness.{CALL}"})
        self.assertEqual(len(queued()), 3)

    def test_what_cannot_be_retried(self) -> None:
        """What could place a paid call twice, and what has ended well or continues, has no button;
        a request for it all the same sends nothing."""
        self.allow("retry_job")
        rows = [self.row(state) for state in ("done", "running", "needs_decision")]
        rows += [self.row(state, CALL, account="legal") for state in ("failed", "cancelled")]
        rows.append(self.row("refused", CALL, error="RequestConflict"))
        for job in rows:
            url = reverse("admin:earwitness_job_retry", args=[job.pk])
            page = self.page("change", job.pk)
            self.assertNotIn(url, page)
            self.assertIn("No retry", page)
            said = self.client.post(url, {"note": "again"}, follow=True).content.decode()
            self.assertIn("not done", said)
        self.assertEqual(queued(), [])

    def test_a_refused_request_goes_again(self) -> None:
        """After CapReached no job was opened: the same id is sent, as of now, under a task id whose
        result is not the old refusal."""
        self.allow("retry_job")
        job = call()
        job.record("refused", error="CapReached", reason="not done: the cap")
        url = reverse("admin:earwitness_job_retry", args=[job.pk])
        self.client.post(url, {"note": "another day"})
        stored = Job.objects.get()
        self.assertEqual((stored.state, stored.error, stored.reason), ("sent", "", ""))
        self.assertNotEqual(stored.task_id, job.task_id)
        self.assertGreater(stored.requested_at, job.requested_at)
        self.assertEqual(len(queued()), 2)
