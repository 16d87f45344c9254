"""One document of each kind, and the bytes that every version has written for it."""

from __future__ import annotations

from archive.documents.chain_entry import ChainEntry, Covered
from archive.documents.manifest import Manifest, Part, SingleFile, Window
from archive.documents.metadata import Metadata
from archive.documents.receipt import Receipt
from archive.documents.recordings_list import Line, Place
from archive.store.directory import Stored
from archive.zip.verification import Member

ONE, TWO = "1" * 64, "2" * 64
RECEIPT_PATH = "legal/certified-calls/2026/11/0b5e.json"
METADATA_PATH = "india/recordings/2026/11/20/102.json"
DIR = "india/exports/2026/11/20/0b5e"

RECEIPT = Receipt(
    job_id="0b5e",
    request_id="order-7",
    account="legal",
    provider="gsmblockchain",
    country="ES",
    phone="+34660111222",
    max_seconds=120,
    company_name="Señal",
    company_id=None,
    requested_at="2026-11-20T03:04:05Z",
    sent_at="2026-11-20T03:04:06Z",
    answered_at=None,
    outcome="unknown",
    platform_phone=None,
    error_message=None,
    http_status=None,
    answer="",
    version="0.9.0",
)
RECEIPT_BYTES = (
    '{"schema": 1, "job_id": "0b5e", "request_id": "order-7", "account": "legal", '
    '"provider": "gsmblockchain", "country": "ES", "phone": "+34660111222", "max_seconds": 120, '
    '"company_name": "Señal", "company_id": null, "requested_at": "2026-11-20T03:04:05Z", '
    '"sent_at": "2026-11-20T03:04:06Z", "answered_at": null, "outcome": "unknown", '
    '"platform_phone": null, "error_message": null, "http_status": null, "answer": "", '
    '"version": "0.9.0"}'
)
DECIDED = Receipt(
    **{
        **vars(RECEIPT),
        "outcome": "resolved",
        "decided": "not placed",
        "by": "ann",
        "note": "looked",
        "decided_at": "2026-11-20T09:00:00Z",
    }
)
DECIDED_BYTES = RECEIPT_BYTES.replace('"unknown"', '"resolved"').replace(
    '"answer": "", ',
    '"answer": "", "decided": "not placed", "by": "ann", "note": "looked", '
    '"decided_at": "2026-11-20T09:00:00Z", ',
)
METADATA = Metadata(
    account="india",
    provider="vonage",
    recording_id="102",
    audio=Stored("india/recordings/2026/11/20/102.mp3", 9, ONE),
    recording={"id": "102", "cnam": "JOSÉ \ud83d", "rate": float("inf"), "rule_ids": []},
    job_id="5d1c",
    created_at="2026-11-21T02:30:00Z",
    version="0.9.0",
)
METADATA_BYTES = (
    '{"schema": 1, "kind": "recording", "account": "india", "provider": "vonage", '
    '"recording_id": "102", "path": "india/recordings/2026/11/20/102.mp3", "bytes": 9, '
    f'"sha256": "{ONE}", "recording": {{"id": "102", "cnam": "JOS\\u00c9 \\ud83d", '
    '"rate": "inf", "rule_ids": []}, "job_id": "5d1c", "created_at": "2026-11-21T02:30:00Z", '
    '"version": "0.9.0"}'
)
ENTRY = ChainEntry(2, ONE, [Covered(METADATA_PATH, TWO), Covered("india/x é", ONE)])
ENTRY_BYTES = f"""{{
 "n": 2,
 "previous": "{ONE}",
 "entries": [
  {{
   "path": "{METADATA_PATH}",
   "sha256": "{TWO}"
  }},
  {{
   "path": "india/x é",
   "sha256": "{ONE}"
  }}
 ]
}}"""
LISTED = {"id": "7", "start": None, "duration": 60000, "missing": False, "path": "the provider's"}
LINES = [
    Line.of(LISTED, Place(path=f"{DIR}/p.zip", member="a.mp3", bytes=9, sha256=ONE, audio="mp3")),
    Line.of({"id": "8"}, Place(path="india/8.mp3", bytes=9, sha256=TWO)),
    Line.of({"id": "9", "set_aside": "its start cannot be read"}, None),
]
LIST_BYTES = (
    '{"id": "7", "start": null, "duration": 60000, '
    f'"path": "{DIR}/p.zip", "member": "a.mp3", "bytes": 9, "sha256": "{ONE}", '
    '"audio": "mp3"}\n'
    f'{{"id": "8", "path": "india/8.mp3", "bytes": 9, "sha256": "{TWO}"}}\n'
    '{"id": "9", "set_aside": "its start cannot be read", "missing": true}\n'
)
MANIFEST = Manifest(
    account="india",
    provider="vonage",
    job_id="0b5e",
    day="2026-11-20",
    generation=2,
    window=Window("2026-11-19T18:30:00Z", "2026-11-20T18:30:00Z"),
    timezone="Asia/Kolkata",
    filters={"call_direction": "INBOUND"},
    parts=[
        Part("p1", Stored(f"{DIR}/p.zip", 99, ONE), [Member("a.mp3", 9, ONE)] * 2),
        Part("p2", Stored(f"{DIR}/q.zip", 2, TWO), []),
    ],
    files=[SingleFile("8", Stored("india/8.mp3", 9, TWO))] * 2,
    recordings=Stored(f"{DIR}/recordings.jsonl", 3, TWO),
    listed=3,
    archived=2,
    missing=1,
    unexpected=0,
    complete=False,
    created_at="2026-11-21T02:30:00Z",
    version="0.9.0",
)
MANIFEST_BYTES = f"""{{
 "schema": 1,
 "kind": "export",
 "account": "india",
 "provider": "vonage",
 "job_id": "0b5e",
 "day": "2026-11-20",
 "generation": 2,
 "window": {{"start": "2026-11-19T18:30:00Z", "end": "2026-11-20T18:30:00Z"}},
 "timezone": "Asia/Kolkata",
 "filters": {{"call_direction": "INBOUND"}},
 "parts": [
  {{"provider_job_id": "p1", "path": "{DIR}/p.zip", "bytes": 99, "sha256": "{ONE}", "members": [
   {{"name": "a.mp3", "bytes": 9, "sha256": "{ONE}"}},
   {{"name": "a.mp3", "bytes": 9, "sha256": "{ONE}"}}]}},
  {{"provider_job_id": "p2", "path": "{DIR}/q.zip", "bytes": 2, "sha256": "{TWO}", "members": []}}],
 "files": [
  {{"recording_id": "8", "path": "india/8.mp3", "bytes": 9, "sha256": "{TWO}"}},
  {{"recording_id": "8", "path": "india/8.mp3", "bytes": 9, "sha256": "{TWO}"}}],
 "recordings": {{"path": "{DIR}/recordings.jsonl", "bytes": 3, "sha256": "{TWO}"}},
 "listed": 3,
 "archived": 2,
 "missing": 1,
 "unexpected": 0,
 "complete": false,
 "created_at": "2026-11-21T02:30:00Z",
 "version": "0.9.0"
}}
"""
#: A retrieved ZIP with nothing to compare it with, by a version that noted no time zone.
ALONE = {"day": None, "generation": None, "window": None, "timezone": None, "filters": None}
