"""The manifests for Kubernetes: what they promise, read from them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import ROOT, Settings

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
#: The service by which `python -m worker health` knows each of them.
SERVICES = {"actions": "worker", "downloads": "downloads", "beat": "beat", "hooks": "hooks"}


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Every object of this kind."""
    return [one for one in OBJECTS if one["kind"] == kind]


def container(workload: dict[str, Any]) -> dict[str, Any]:
    """The only container of a workload's pods."""
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_can_do_little_and_is_judged(name: str) -> None:
    """No root, no rights, no writing to its own file system, a limit of memory; both probes are the
    health command of this very service, with longer timeouts than it takes.
    """
    workload, service = WORKLOADS[name], SERVICES[name.removeprefix("earwitness-")]
    pod, only = workload["spec"]["template"]["spec"], container(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in only["resources"]["limits"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert only[probe]["exec"]["command"] == ["python", "-m", "worker", "health", service]
        assert only[probe]["timeoutSeconds"] >= 10
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
    """Each budget and each autoscaler belongs to a workload; an autoscaler's queue is that of its
    workers, and its metric one of ours.
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
        (metric,) = scaler["spec"]["metrics"]
        asked = metric["external"]["metric"]
        assert f"`{asked['name']}`" in (ROOT / "docs" / "metrics.md").read_text()
        args = container(workload)["args"]
        assert asked["selector"]["matchLabels"]["queue"] in args[args.index("-Q") + 1].split(",")
