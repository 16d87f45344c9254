"""Vonage's two call recording APIs: what each offers, and at which addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOKEN = "/vonage/token"
STORE = "/vonage/store/"
COMPANY = r"/accounts/(?P<account_id>[^/]+)/company_call_recordings"
ON_DEMAND = r"/accounts/(?P<account_id>[^/]+)/users/(?P<user_id>[^/]+)/call_recordings"
RECORDING = r"/(?P<recording_id>[^/]+)"
ROUTES = [
    ("GET", COMPANY, "list"),
    ("POST", COMPANY + "/export", "export"),
    ("GET", COMPANY + RECORDING, "get"),
    ("DELETE", COMPANY + RECORDING, "delete"),
    ("GET", ON_DEMAND, "on_demand_list"),
    ("POST", ON_DEMAND + "/export", "on_demand_export"),
    ("GET", ON_DEMAND + "/jobs", "jobs"),
    ("GET", ON_DEMAND + r"/jobs/(?P<job_id>[^/]+)", "job"),
    ("GET", ON_DEMAND + RECORDING, "on_demand_get"),
    ("DELETE", ON_DEMAND + RECORDING, "on_demand_delete"),
    ("GET", "/audio/recording" + RECORDING, "audio"),
    ("GET", "/bulkDownload/retrieve", "retrieve"),
]
STATUS_OPERATIONS = ("jobs", "job")


@dataclass(frozen=True)
class Variant:
    """One of the APIs.

    `next_base` is where the vendor's example of a link to the next page leads, `roots` stand
    between the base and an operation's path. `retrieve_names` are the parameters of retrieve that
    name the job and the user; where `user_optional`, the job alone is enough.
    """

    region: str
    base: str
    next_base: str
    roots: tuple[str, ...]
    retrieve_names: tuple[tuple[str, ...], tuple[str, ...]]
    user_optional: bool
    export_status: int
    status_endpoint: bool
    on_demand: bool

    def job_named(self, query: Mapping[str, str]) -> str:
        """The job that retrieve is asked for; empty where none is named."""
        return _first(query, self.retrieve_names[0]) or ""

    def is_user(self, query: Mapping[str, str], login_name: str) -> bool:
        """Whether retrieve names this user, or need not name one."""
        named = _first(query, self.retrieve_names[1])
        return named == login_name or (named is None and self.user_optional)

    def below(self, path: str) -> str | None:
        """The part of a path that names an operation; None where it is not this API's."""
        for root in self.roots:
            if path.startswith(f"{self.base}{root}/"):
                return path.removeprefix(self.base + root)
        return None


INDIA = Variant(
    region="india",
    base="/vonage/t/vbc.prod/call_recording_india",
    next_base="/vonage/t/vbc.prod/call_recordingindia",
    roots=("/api",),
    retrieve_names=(("jobId",), ("userName",)),
    user_optional=False,
    export_status=201,
    status_endpoint=False,
    on_demand=False,
)
# The vendor spells the parameters of retrieve in three ways, and the paths in two.
GLOBAL = Variant(
    region="global",
    base="/vonage/t/vbc.prod/call_recording",
    next_base="/vonage/t/vbc.prod/call_recording",
    roots=("/api", "/v1/api"),
    retrieve_names=(("jobId", "job_id"), ("userName", "login_name")),
    user_optional=True,
    export_status=202,
    status_endpoint=True,
    on_demand=True,
)
VARIANTS = {variant.region: variant for variant in (INDIA, GLOBAL)}


@dataclass(frozen=True)
class Route:
    """An operation, "none" for what there is not; of which API, and the arguments in its path."""

    operation: str
    variant: Variant | None = None
    arguments: dict[str, str] = field(default_factory=dict)


def _first(query: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((query[name] for name in names if name in query), None)


def region_of(section: Mapping[str, Any]) -> str:
    """The API that an account's section of accounts.toml means: by its region, else by the end of
    its base_url.
    """
    base_url = str(section.get("base_url", "")).rstrip("/")
    ends = {v.region: v.base.removeprefix("/vonage") for v in VARIANTS.values()}
    found = (region for region, end in ends.items() if base_url.endswith(end))
    return str(section.get("region") or next(found, INDIA.region))


def find_route(method: str, path: str) -> Route:
    """What a request asks for."""
    if (method, path) == ("POST", TOKEN):
        return Route("token")
    if method == "GET" and path.startswith(STORE):
        return Route("store", arguments={"key": path.removeprefix(STORE)})
    for variant in VARIANTS.values():
        below = variant.below(path)
        for wanted, pattern, operation in ROUTES if below else ():
            found = re.fullmatch(pattern, below or "")
            if found and wanted == method:
                return Route(operation, variant, found.groupdict())
    return Route("none")
