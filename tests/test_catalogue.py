"""The catalogue: schemas of results, errors and bodies, and the AsyncAPI document."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks.errors import BY_NAME
from worker.catalogue.asyncapi import document
from worker.catalogue.contents import contents

from . import page_packages
from .pages import need
from .result_schemas import check, closed

CATALOGUE = contents()


def test_every_schema_is_one_of_json_schema_2020_12() -> None:
    """Arguments and results of every task, and the bodies: each says its dialect and is valid."""
    tasks = CATALOGUE["tasks"].values()
    schemas = [one[part] for one in tasks for part in ("arguments", "result")]
    for schema in [*schemas, *(CATALOGUE[body] for body in ("error", "notify", "alert"))]:
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        Draft202012Validator.check_schema(schema)
    assert all(one["result"]["properties"] for one in tasks)


def test_the_result_of_a_job_has_the_job_s_id() -> None:
    """Every task that opens a job answers with its id."""
    for task, one in CATALOGUE["tasks"].items():
        if one["opens_job"]:
            assert "job_id" in one["result"]["required"], task


def test_every_error_says_what_it_means() -> None:
    """The closed list: what each error is, what is known of the work, and whether to send again."""
    assert CATALOGUE["errors"].keys() == BY_NAME.keys() - {"JobError"}
    assert CATALOGUE["error"]["properties"]["type"]["enum"] == sorted(CATALOGUE["errors"])
    for name, error in CATALOGUE["errors"].items():
        assert set(error["outcomes"]) <= {"done", "not done", "unknown"}, name
        assert error["description"], name
        assert error["send_same_id_again"].startswith(("yes", "no", "never")), name
    assert CATALOGUE["errors"]["Uncertain"]["outcomes"] == ["unknown"]
    assert CATALOGUE["errors"]["BadCredentials"]["is_a"] == "Rejected"


def test_a_result_with_a_field_that_nobody_declared_is_found() -> None:
    """The comparison of real results refuses missing, wrong and undeclared fields."""
    stored = {"job_id": "j", "path": "p", "sha256": "0" * 64, "bytes": 1}
    check("earwitness.recording.download", stored)
    for wrong in ({**stored, "more": 1}, {**stored, "bytes": "1"}, {"job_id": "j"}):
        with pytest.raises(AssertionError):
            check("earwitness.recording.download", wrong)
    assert closed({"properties": {}, "additionalProperties": True})["additionalProperties"]


def parsed(text: str) -> dict[str, Any]:
    """What the official parser makes of a document."""
    packages = page_packages.asyncapi_parser()
    need(packages)
    script = page_packages.ASYNCAPI_FILES / "check.mjs"
    done = subprocess.run(
        [str(page_packages.node()), "--input-type=module", "--eval", script.read_text()],
        cwd=packages.folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_asyncapi_document_is_valid() -> None:
    """By AsyncAPI's own parser: no error and no warning, an operation for every task and for each
    message that Earwitness sends. The parser refuses a document with a reference to nothing.
    """
    made = document()
    found = parsed(json.dumps(made))
    assert found["faults"] == []
    assert set(found["operations"]) == {*CATALOGUE["tasks"], "notification", "webhook", "alert"}
    del made["channels"]["outcomes"]["messages"]["earwitness.recording.get.result"]
    assert parsed(json.dumps(made))["faults"]
