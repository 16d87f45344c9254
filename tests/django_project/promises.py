"""What earwitness_client.django promises, without a worker: run by ``manage.py test``."""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

from asgiref.sync import sync_to_async
from asking import CALL, NUMBER, call, connections, empty_redis, queued
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import AsyncClient, SimpleTestCase, TransactionTestCase, override_settings
from shop.models import Order

from earwitness_client import InvalidArgument, RequestConflict
from earwitness_client.django import get_async_client, get_client, send_on_commit
from earwitness_client.django.clients import aclose
from earwitness_client.django.models import Job
from earwitness_client.django.signals import job_changed
from earwitness_client.django.tasks import job_ended
from earwitness_client.request import id_of_job

#: A process that ends between the commit and the sending.
DIES = """
import os
import django
django.setup()
from django.db import connection, transaction
from earwitness_client.django import get_client, send_on_commit
with transaction.atomic():
    transaction.on_commit(lambda: os._exit(9))
    send_on_commit(
        get_client().certified_call.request, account="legal", country="ES", phone="660111222",
        max_seconds=60, request_id="order-died")
"""


def close_connection() -> None:
    """Close this thread's connection to the database."""
    connection.close()


class Promises(TransactionTestCase):
    def setUp(self) -> None:
        empty_redis()
        self.heard: list[tuple] = []
        job_changed.connect(self.hear)
        self.addCleanup(job_changed.disconnect, self.hear)

    def hear(self, *, job: Job, previous: str, result: object, **_: object) -> None:
        self.heard.append((job.request_id, previous, job.state, result))

    def states(self) -> list[tuple[str, str]]:
        return list(Job.objects.order_by("pk").values_list("request_id", "state"))

    def test_sent_after_the_commit_alone(self) -> None:
        """Nothing is sent before the commit, nothing for what is rolled back, and a second request
        of the same id sends nothing more."""
        with transaction.atomic():
            job = call()
            self.assertEqual((job.state, queued()), ("to_send", []))
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            call("order-2")
            raise ZeroDivisionError
        again = call()
        self.assertEqual(again, job)
        self.assertEqual(self.states(), [("order-1", "sent")])
        (message,) = queued()
        self.assertEqual(message["headers"]["id"], job.task_id)

    def test_a_crash_between_commit_and_sending(self) -> None:
        """The row is committed and says what to send; the next pass sends it."""
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings"}
        environment["DATABASE_NAME"] = str(connection.settings_dict["NAME"])
        died = subprocess.run([sys.executable, "-c", DIES], env=environment, check=False)
        self.assertEqual((died.returncode, queued()), (9, []))
        said = StringIO()
        with self.assertRaisesMessage(CommandError, "unknown"):  # no worker answers
            call_command("earwitness_follow", timeout=0.1, stdout=said)
        self.assertIn("order-died: to_send -> sent", said.getvalue())
        self.assertEqual(queued()[0]["headers"]["task"], f"earwitness.{CALL}")

    def test_a_late_request_does_not_call_late(self) -> None:
        """A call has 15 minutes from its request, however long its row was not sent."""
        job = call()
        late = Job.objects.get(pk=job.pk).request().arguments["not_after"]
        self.assertEqual(late, Job.objects.get(pk=job.pk).request().arguments["not_after"])
        self.assertEqual((job.requested_at.minute + 15) % 60, int(late[14:16]))

    def test_redis_away(self) -> None:
        """The caller is not disturbed, the row says why it was not sent, and the next pass of the
        command sends it; a command that could not send fails."""
        with override_settings(EARWITNESS={"URL": "redis://127.0.0.1:1/0"}):
            job = call()
            self.assertEqual(job.state, "to_send")
            self.assertIn("not queued", Job.objects.get().reason)
            with self.assertRaisesMessage(CommandError, "not queued"):
                call_command("earwitness_follow", timeout=0.1)
        said = StringIO()
        with self.assertRaisesMessage(CommandError, "unknown"):
            call_command("earwitness_follow", timeout=0.1, stdout=said)
        self.assertIn("order-1: to_send -> sent", said.getvalue())
        self.assertEqual(len(queued()), 2)  # and the question for its state

    def test_other_arguments_under_the_same_id(self) -> None:
        """They are refused here while the first are not accepted, and nothing is sent."""
        call()
        with self.assertRaises(RequestConflict):
            call(phone="660111333")
        self.assertEqual(len(queued()), 1)

    def test_wrong_arguments(self) -> None:
        """They are refused where they stand, and no row is written."""
        with self.assertRaisesMessage(InvalidArgument, "country"):
            send_on_commit(
                get_client().certified_call.request,
                account="legal",
                country="Spain",
                phone=NUMBER,
                max_seconds=60,
                request_id="order-1",
            )
        with self.assertRaisesMessage(InvalidArgument, "opens no job"):
            send_on_commit(get_client().job.status, job_id="x")
        self.assertEqual(self.states(), [])

    def test_days_and_ids_of_their_own(self) -> None:
        """A day is its own key; where no id is given the row keeps the one that was made."""
        export, verify = get_client().export.run, get_client().archive.verify
        day = send_on_commit(export, account="india", day="2026-11-10")
        self.assertEqual(day, send_on_commit(export, account="india", day="2026-11-10"))
        self.assertEqual(day.request_id, "day:2026-11-10#1")
        self.assertIsNone(day.request().request_id)
        verified = send_on_commit(verify)
        self.assertEqual((verified.account, len(verified.request_id)), ("", 36))
        self.assertEqual(len(queued()), 2)

    def test_notifications_come_twice_and_in_any_order(self) -> None:
        """An end is stored once and outlasts a needed decision that arrives later; the arguments
        are erased, the result is given to the receiver and not kept."""
        job = call()
        ended = {"job_id": job.job_id, "request_id": "order-1", "kind": "certified_call.request"}
        result = {"state": "done", "platform_phone": "912080202"}
        error = {"type": "Uncertain", "message": "unknown: perhaps"}
        for _ in range(2):
            job_ended(**ended, state="done", result=result, error=None, later_field=1)
            job_ended(**ended, state="needs_decision", result=None, error=error)
        stored = Job.objects.get()
        self.assertEqual((stored.state, stored.arguments, stored.error), ("done", None, ""))
        self.assertEqual(
            self.heard,
            [("order-1", "to_send", "sent", None), ("order-1", "sent", "done", result)],
        )
        self.assertEqual(stored, call(phone="660111333"))
        self.assertNotIn(NUMBER, str(Job.objects.values().get()))

    def test_at_the_same_time(self) -> None:
        """Several that request the same have one row and send the same message; of several that are
        notified of the same end, one stores it and sends the signal."""

        def at_once(work: Callable[[], object]) -> None:
            def alone() -> None:
                try:
                    work()
                finally:
                    close_connection()

            with ThreadPoolExecutor(8) as threads:
                for one in [threads.submit(alone) for _ in range(8)]:
                    one.result()

        at_once(call)
        job = Job.objects.get()
        self.assertEqual({one["headers"]["id"] for one in queued()}, {job.task_id})
        at_once(lambda: job_ended(job_id=job.job_id, state="done", result={}))
        self.assertEqual([one[2] for one in self.heard], ["sent", "done"])

    def test_a_decision_and_then_its_end(self) -> None:
        """Both are stored, in their order, with the exception's name."""
        job = call()
        error = {"type": "Uncertain", "message": "unknown: perhaps"}
        job_ended(job_id=job.job_id, state="needs_decision", result=None, error=error)
        self.assertEqual(Job.objects.get().error, "Uncertain")
        job_ended(job_id=job.job_id, state="failed", error={"type": "Rejected", "message": "no"})
        stored = Job.objects.get()
        self.assertEqual((stored.state, stored.error, stored.reason), ("failed", "Rejected", "no"))
        self.assertEqual([one[2] for one in self.heard], ["sent", "needs_decision", "failed"])

    def test_a_receiver_that_fails(self) -> None:
        """Nothing is stored, so that the notification is tried again; a job of somebody else is
        ignored."""
        job = call()

        def fail(**_: object) -> None:
            raise ZeroDivisionError

        job_changed.connect(fail)
        with self.assertRaises(ZeroDivisionError):
            job_ended(job_id=job.job_id, state="done", result={})
        job_changed.disconnect(fail)
        self.assertEqual(self.states(), [("order-1", "sent")])
        job_ended(job_id=job.job_id, state="done", result={})
        job_ended(job_id="another", state="done", result={})
        self.assertEqual(self.states(), [("order-1", "done")])

    def test_a_day_that_was_exported_before(self) -> None:
        """The notification of its later generation is that of the account's row which waits for it,
        and of no row that has its own job."""
        export = get_client().export.run
        days = [send_on_commit(export, account=one, day="2026-11-10") for one in ("india", "spain")]
        names = {"kind": "export.run", "request_id": "day:2026-11-10#2"}
        later = id_of_job("india", "earwitness.export.run", names["request_id"])
        job_ended(job_id=later, state="done", result={"archived": 4}, **names)
        for day in days:
            day.refresh_from_db()
        self.assertEqual([day.state for day in days], ["done", "sent"])
        self.assertEqual(days[0].job_id, later)
        days[1].record("running")
        other = id_of_job("spain", "earwitness.export.run", names["request_id"])
        job_ended(job_id=other, state="done", result={}, **names)
        self.assertEqual(Job.objects.get(pk=days[1].pk).state, "running")

    def test_an_object_and_its_jobs(self) -> None:
        """A model finds its jobs; they outlive the object."""
        order = Order.objects.create(phone=NUMBER)
        job = call(subject=order)
        self.assertEqual(list(order.earwitness_jobs), [job])
        self.assertEqual(Job.objects.get().subject, order)
        order.delete()
        self.assertIsNone(Job.objects.get().subject)
        with self.assertRaisesMessage(ValueError, "save"):
            call("order-9", subject=Order(phone=NUMBER))

    def test_an_asynchronous_view(self) -> None:
        """It sends with the asyncio client, and answers when Redis is away as well."""

        async def post(recording_id: str) -> dict:
            answer = await AsyncClient().post(f"/keep/{recording_id}")
            await aclose()
            await sync_to_async(close_connection)()
            return answer.json()

        said = asyncio.run(post("7"))
        self.assertEqual(said, {"job": Job.objects.get().job_id, "state": "sent"})
        self.assertEqual(len(queued()), 1)
        with override_settings(EARWITNESS={"URL": "redis://127.0.0.1:1/0"}):
            self.assertEqual(asyncio.run(post("8"))["state"], "to_send")

    def test_an_asynchronous_view_under_wsgi(self) -> None:
        """Its loop ends with the view, and so does the connection."""
        gc.disable()
        self.addCleanup(gc.enable)
        before = connections()
        for recording_id in ("7", "8", "9"):
            self.assertEqual(self.client.post(f"/keep/{recording_id}").json()["state"], "sent")
        self.assertEqual(connections(), before)

    def test_a_worker_that_is_away(self) -> None:
        """While requests wait in its queue, no questions are added to them, pass by pass."""
        call()
        for _ in range(2):
            with self.assertRaisesMessage(CommandError, "no worker listens"):
                call_command("earwitness_follow", timeout=0.1)
        self.assertEqual(len(queued()), 1)

    def test_a_fork(self) -> None:
        """A child sends over connections of its own, and the parent continues."""
        client = get_client()
        client.recording.download(account="india", recording_id="1")
        child = os.fork()
        if not child:
            try:
                get_client().recording.download(account="india", recording_id="2")
                os._exit(0)
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        client.recording.download(account="india", recording_id="3")
        self.assertEqual(len(queued()), 3)
        self.assertIs(client, get_client())


class Settings(SimpleTestCase):
    databases = frozenset({"default"})

    def test_the_checks_name_the_field(self) -> None:
        """``manage.py check`` names what is wrong and quotes no password; used all the same, the
        client raises ImproperlyConfigured."""
        right = {"URL": "redis://127.0.0.1/0"}
        wrong = {
            "": None,
            "URL": {},
            "ULR": {**right, "ULR": "x"},
            'URL"]: redis-py': {"URL": "redis://:sec/ret@h:x/0"},
            'URL"]: must be text': {"URL": 7},
            "QUEUE": {**right, "QUEUE": ""},
            "KEY_PREFIX": {**right, "KEY_PREFIX": "shop"},
            "NOTIFY_QUEUE": {**right, "NOTIFY_QUEUE": "earwitness"},
        }
        for field, value in wrong.items():
            with self.subTest(field), override_settings(EARWITNESS=value):
                found = [str(one) for one in run_checks(tags=["earwitness"])]
                self.assertEqual(len(found), 1, found)
                self.assertIn(f'EARWITNESS["{field}' if field else "EARWITNESS: ", found[0])
                self.assertNotIn("sec", found[0])
                with self.assertRaisesMessage(ImproperlyConfigured, "EARWITNESS"):
                    get_client()
                with self.assertRaisesMessage(ImproperlyConfigured, "EARWITNESS"):
                    get_async_client()
        self.assertEqual(run_checks(), [])

    def test_the_migrations_are_whole(self) -> None:
        """No release of Django finds a migration to be made."""
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
