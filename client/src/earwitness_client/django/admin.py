"""The admin's pages of jobs: to read, to search, and to retry what may be retried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html

from earwitness_client.errors import EarwitnessError

from .models import Job
from .retrying import offered, retry

_NOTE_LENGTH = 1000


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """Jobs, which only the worker changes."""

    list_display = ("request_id", "task", "account", "state", "why", "about", "updated_at")
    list_filter = ("state", "task", "account", "created_at")
    list_select_related = ("subject_type",)
    search_fields = ("=job_id", "=task_id", "request_id", "=subject_id")
    show_full_result_count = False
    actions = ("retry_jobs",)
    fields = (
        "task",
        "account",
        "request_id",
        "state",
        "error",
        "reason",
        "about",
        "repeated",
        "repeated_as",
        "job_id",
        "task_id",
        "created_at",
        "requested_at",
        "updated_at",
        "ended_at",
    )
    readonly_fields = fields

    @admin.display(description="reason")
    def why(self, job: Job) -> str:
        """The reason in a line of the list."""
        text = str(job.reason)
        return text if len(text) <= 80 else f"{text[:79]}…"

    @admin.display(description="for")
    def about(self, job: Job) -> str:
        """The object for which the job was requested, with a link to its page if it has one."""
        kind = job.subject_type
        if kind is None:
            return "-"
        named = f"{kind.app_label}.{kind.model} {job.subject_id}"
        try:
            page = reverse(
                f"admin:{kind.app_label}_{kind.model}_change",
                args=[job.subject_id],
                current_app=self.admin_site.name,
            )
        except NoReverseMatch:
            return named
        return str(format_html('<a href="{}">{}</a>', page, named))

    @admin.display(description="repetition of")
    def repeated(self, job: Job) -> str:
        """The job that this one repeats."""
        return self._links([job.repeats] if job.repeats else [])

    @admin.display(description="repeated as")
    def repeated_as(self, job: Job) -> str:
        """The jobs that repeat this one."""
        return self._links(job.repetitions.all())

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are requested by the project."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only the worker's news change a row."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The rows say what was requested, and by whom it was retried."""
        del request, obj
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether the user has the permission ``earwitness.retry_job``."""
        return bool(request.user.has_perm("earwitness.retry_job"))

    def get_urls(self) -> list[Any]:
        """Add the page of the button."""
        page = self.admin_site.admin_view(self.retry_view)
        own = path("<int:job_pk>/retry/", page, name="earwitness_job_retry")
        return [own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a job, with a button where the user may retry it."""
        job = self.get_object(request, object_id)
        more = {} if job is None else {"offered": offered(job), "job_pk": job.pk}
        more["may_retry"] = self.has_retry_permission(request)
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})

    @admin.action(description="Retry selected jobs", permissions=["retry"])
    def retry_jobs(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Ask for a note, then retry each job that may be."""
        jobs = list(queryset.order_by("pk"))
        if "note" not in request.POST:
            return self._confirmation(request, jobs)
        self._retry(request, jobs)
        return None

    def retry_view(self, request: HttpRequest, job_pk: int) -> HttpResponse:
        """Ask for a note, then retry one job."""
        job = self.get_object(request, str(job_pk))
        if not (self.has_view_permission(request, job) and self.has_retry_permission(request)):
            raise PermissionDenied
        if job is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(job_pk))
        if request.method != "POST" or "note" not in request.POST:
            return self._confirmation(request, [job])
        (latest,) = self._retry(request, [job])
        return HttpResponseRedirect(self._page(latest))

    def _confirmation(self, request: HttpRequest, jobs: Sequence[Job]) -> HttpResponse:
        offers = [(job, offered(job)) for job in jobs]
        context = {
            **self.admin_site.each_context(request),
            "title": "Retry jobs" if len(jobs) > 1 else "Retry a job",
            "opts": self.opts,
            "offers": offers,
            "any_possible": any(offer.way for _, offer in offers),
            "is_action": "action" in request.POST,
            "checkbox": ACTION_CHECKBOX_NAME,
            "note_length": _NOTE_LENGTH,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/earwitness/job/retry.html", context)

    def _retry(self, request: HttpRequest, jobs: Sequence[Job]) -> list[Job]:
        """Retry jobs and say of each what came of it; return the rows to look at."""
        note = str(request.POST["note"]).strip()[:_NOTE_LENGTH] or "retried in the admin"
        latest = []
        for job in jobs:
            try:
                row = retry(job, by=request.user.get_username(), note=note)
            except EarwitnessError as error:
                self.message_user(request, f"{job}: {error}", messages.ERROR)
                latest.append(job)
            else:
                self.log_change(request, job, f"Retried: {note}")
                self.message_user(request, f"{job}: retried; {row} is {row.state}")
                latest.append(row)
        return latest

    def _page(self, job: Job) -> str:
        name = "admin:earwitness_job_change"
        return str(reverse(name, args=[job.pk], current_app=self.admin_site.name))

    def _links(self, jobs: Sequence[Job]) -> str:
        """Return links to the pages of jobs."""
        links = [format_html('<a href="{}">{}</a>', self._page(one), one) for one in jobs]
        return str(format_html(", ".join("{}" for _ in links), *links)) if links else "-"
