"""The architecture: only a provider's own package, and its line in the registry, names it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from config.settings import ROOT
from providers import registry

from .source_tree import sources

#: Where each provider has its line.
REGISTRY = "providers/registry.py"
NAMES = tuple(registry.providers())
_NAMED = re.compile("|".join(NAMES), re.IGNORECASE)
_ACCOUNT = re.compile(r"Account\b")
_KIND = re.compile(r"\wAccount\b")
#: A citation: what a vendor documents stands on a page of its own.
_CITED = re.compile(r"docs/providers/[a-z0-9_]+\.md")


def breaches(path: Path, source: str) -> Iterator[str]:
    """Each place in a module that names a provider or tells accounts apart by their types."""
    for node in ast.walk(ast.parse(source)):
        for name in _names(node):
            if found := _NAMED.search(name):
                yield f"{path}:{_line(node)} names {found[0]}: {name.strip()[:60]!r}"
        if _is_told_apart(node):
            yield f"{path}:{_line(node)} tells accounts apart: {ast.unparse(node)[:60]}"


def _names(node: ast.AST) -> Iterator[str]:
    """Every name and text in a node: imports, identifiers, arguments, strings and docstrings."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names):
            yield from (f"{module or ''}.{alias.name}" for alias in names)
        case ast.Constant(value=str(text)):
            yield _CITED.sub("", text)
        case ast.Constant(value=bytes(data)):
            yield data.decode("latin-1")
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name


def _is_told_apart(node: ast.AST) -> bool:
    """Whether it asks of what type an account is, or compares the name of its provider."""
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
            return bool(_ACCOUNT.search(ast.unparse(kinds)))
        case ast.Call(func=ast.Name(id="issubclass"), args=[_, kinds]):
            return bool(_KIND.search(ast.unparse(kinds)))
        case ast.Compare(left=left, comparators=others, ops=ops):
            texts = [ast.unparse(one) for one in (left, *others)]
            asks_type = any(text.startswith("type(") for text in texts)
            if asks_type and any(_ACCOUNT.search(text) for text in texts):
                return True
            names = [text for text in texts if re.search(r"\bprovider$", text)]
            return bool(names) and any(isinstance(op, ast.Eq) for op in ops)
        case ast.MatchClass(cls=kind):
            return bool(_ACCOUNT.search(ast.unparse(kind)))
    return False


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def judged(paths: Iterable[str]) -> list[str]:
    """Those of the paths that may name no provider: not its own package, its line and the demo."""
    return [
        path
        for path in paths
        if path != REGISTRY
        and not path.startswith(("demo/", *(f"providers/{name}/" for name in NAMES)))
    ]


def test_no_code_but_a_provider_s_own_names_it() -> None:
    """Flows, commands and the archive work for every provider: they ask for a capability."""
    files = sources()
    assert [one for path in judged(files) for one in breaches(Path(path), files[path])] == []


def test_a_provider_names_no_other() -> None:
    """Each package stands alone: one provider can be taken out without the others."""
    for name in NAMES:
        others = re.compile("|".join(one for one in NAMES if one != name), re.IGNORECASE)
        for path in sorted((ROOT / "providers" / name).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                told = [one for one in _names(node) if others.search(one)]
                assert not told, f"{path.relative_to(ROOT)}:{_line(node)} names another: {told}"


def test_the_registry_names_each_provider_in_one_line() -> None:
    """Beside its imports, the registry's own code names a provider once."""
    lines = (ROOT / REGISTRY).read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if _NAMED.search(line) and " import " not in line]
    assert len(named) == len(NAMES), named


@pytest.mark.parametrize(
    "planted",
    [
        "from providers.vonage.client import Vonage",
        "import providers.ozeki.ozml",
        "from providers import voipnow",
        "from .gsmblockchain import client",
        "import_module('providers.vonage.client')",
        'PROVIDER = "vonage"',
        'header = {"provider": "Ozeki"}',
        'where = f"{base}/ozeki/{alias}"',
        'body = b"voipnow"',
        "def vonage_account(alias): ...",
        "class OzekiDocuments: ...",
        "def work(*, gsmblockchain): ...",
        "work(vonage=1)",
        "isinstance(account, VoipnowAccount)",
        "isinstance(account, NotifyingAccount)",
        "isinstance(account, (RecordingsAccount, str))",
        "isinstance(account, accounts.CertifiedCallsAccount | None)",
        "issubclass(kind, DeletingAccount)",
        "type(account) is RecordingsAccount",
        "account.provider == name",
        "name == provider",
        "match account:\n    case RecordingsAccount(): ...",
    ],
)
def test_a_planted_breach_is_found(planted: str) -> None:
    """The judge of this file sees each way to name a provider."""
    assert list(breaches(Path("tasks/planted.py"), planted))


@pytest.mark.parametrize(
    "harmless",
    [
        "registry.has(account, ExportsInBulk)",
        "registry.account(account, RecordingsAccount)",
        "account.provider != name",
        "isinstance(error, provider.Uncertain)",
        "provider = account.provider",
        'ENDINGS = ("gsm", "mp3")',
    ],
)
def test_what_asks_for_a_capability_is_no_breach(harmless: str) -> None:
    """What flows need is allowed."""
    assert not list(breaches(Path("tasks/planted.py"), harmless))
