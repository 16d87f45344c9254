"""The manifests for Kubernetes: what they promise, read from them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import ROOT, Settings
from worker.health.probes import HEALTHZ, READYZ

from .alert_rules import names_used

FOLDER = ROOT / "deploy" / "kubernetes"
OBJECTS: list[dict[str, Any]] = [
    one
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for one in yaml.safe_load_all(path.read_text())
]
WORKLOADS = {
    one["metadata"]["name"]: one for one in OBJECTS if one["kind"] in ("Deployment", "StatefulSet")
}
HEALTH = "/health"
#: What readiness and liveness ask of each container: paths of the setting's address, or a command.
PROBES = {
    "actions": (READYZ, HEALTHZ, "METRICS_BIND"),
    "downloads": (READYZ, HEALTHZ, "METRICS_BIND"),
    "hooks": (HEALTH, HEALTH, "HOOKS_BIND"),
}
#: The queues that each metric of an autoscaler has; tests/test_metrics.py sees them at a worker.
SERVED = {
    "earwitness_oldest_queue_message_age_seconds": (FRONT_DOOR, DUE, DOWNLOADS),
    "earwitness_oldest_due_job_age_seconds": (DUE, DOWNLOADS),
}
#: Which metrics the page lets prometheus-adapter pass on.
ADAPTED = re.findall(
    r'seriesQuery: \'\{__name__=~"(.+)"\}', (ROOT / "docs" / "containers.md").read_text()
)[0]


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Every object of this kind."""
    return [one for one in OBJECTS if one["kind"] == kind]


def container(workload: dict[str, Any]) -> dict[str, Any]:
    """The only container of a workload's pods."""
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


def _is_probed(only: dict[str, Any]) -> None:
    """A worker and the receiver are asked by HTTP at the address that the settings give them; beat,
    which has no address, by the health command, with a longer timeout than it takes.
    """
    if only["name"] not in PROBES:
        for probe in ("readinessProbe", "livenessProbe"):
            assert only[probe]["exec"]["command"] == ["python", "-m", "worker", "health", "beat"]
            assert only[probe]["timeoutSeconds"] >= 10
        return
    ready, alive, setting = PROBES[only["name"]]
    (plain,) = of_kind("ConfigMap")
    host, _, bound = plain["data"][f"EARWITNESS_{setting}"].rpartition(":")
    ports = {one["name"]: one["containerPort"] for one in only["ports"]}
    asked = {"readinessProbe": ready, "livenessProbe": alive, "startupProbe": alive}
    for probe, path in asked.items():
        get = only[probe]["httpGet"]
        assert (get["path"], ports[get["port"]], host) == (path, int(bound), "0.0.0.0")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_can_do_little_and_is_judged(name: str) -> None:
    """No root, no rights, no writing to its own file system, a limit of memory; its probes ask this
    very service.
    """
    workload = WORKLOADS[name]
    pod, only = workload["spec"]["template"]["spec"], container(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in only["resources"]["limits"]
    _is_probed(only)
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_every_queue_is_consumed() -> None:
    """The workers of both kinds consume every queue between them."""
    consumed: list[str] = []
    for workload in WORKLOADS.values():
        args = container(workload)["args"]
        if "-Q" in args:
            consumed += args[args.index("-Q") + 1].split(",")
    assert sorted(consumed) == sorted([FRONT_DOOR, DUE, DOWNLOADS])


def test_settings_and_secrets_are_settings() -> None:
    """Every name is a setting's; no address with a password is outside of a Secret."""
    known = {f"EARWITNESS_{name.upper()}" for name in Settings.model_fields}
    (plain,) = of_kind("ConfigMap")
    assert plain["data"].keys() <= known
    assert "PASSWORD" not in str(plain)
    secret = next(o for o in of_kind("Secret") if o["metadata"]["name"] == "earwitness-secrets")
    assert {name.upper() for name in secret["stringData"]} - {"ACCOUNTS.TOML"} <= known


def test_disruptions_and_scaling_name_what_is_there() -> None:
    """Each budget and each autoscaler belongs to a workload; each queue of an autoscaler is one of
    its workers', and each metric one that a worker serves for that queue and the adapter passes on.
    """
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in WORKLOADS.values()]
    for budget in of_kind("PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"]
        assert [labels for labels in pods if wanted.items() <= labels.items()]
    for scaler in of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = WORKLOADS[target["name"]]
        assert workload["kind"] == target["kind"]
        assert "replicas" not in workload["spec"]  # the autoscaler decides
        args = container(workload)["args"]
        for metric in scaler["spec"]["metrics"]:
            asked = metric["external"]["metric"]
            queue = asked["selector"]["matchLabels"]["queue"]
            assert queue in args[args.index("-Q") + 1].split(",")
            assert queue in SERVED[asked["name"]]
            assert asked["name"] in names_used(), "no test sees that a worker serves it"
            assert re.search(ADAPTED, asked["name"]), "prometheus-adapter does not pass it on"
