"""Commands, options, make verbs, imports and files that the documents name exist."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from exgs.cli.main import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/big-scenes.md", "docs/serving.md")


def lines(document: str) -> list[str]:
    return [line.strip() for line in (ROOT / document).read_text("utf-8").splitlines()]


def commands(document: str) -> list[list[str]]:
    """The words of each indented line that calls exgs, without its comment."""
    text = (ROOT / document).read_text("utf-8")
    calls = re.findall(r"^ +(exgs .*)$", text, re.MULTILINE)
    return [shlex.split(call, comments=True) for call in calls]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_option_exists(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    usages = {}
    for _, *words in commands(document):
        command = " ".join(words[: 2 if words[0] in ("painter", "lab") else 1])
        if command not in usages:
            assert main([*command.split(), "--help"]) == 0, f"there is no exgs {command}"
            usages[command] = capsys.readouterr().out
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"{option}\b", usages[command]), f"exgs {command} has no {option}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_verb_exists(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = (ROOT / document).read_text("utf-8")
    verbs = re.findall(r"(?:^ {4}|`)make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert not [verb for verb in verbs if f"\n{verb}:" not in makefile]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_import_works(document: str) -> None:
    for line in lines(document):
        if found := re.fullmatch(r"from (exgs[\w.]*) import (.+)", line):
            module = importlib.import_module(found[1])
            missing = [name for name in found[2].split(", ") if not hasattr(module, name)]
            assert not missing, f"{found[1]} has no {', '.join(missing)}"


def test_every_bench_that_is_named_exists() -> None:
    """In documents and in the bench's own docstrings and imports."""
    found = {ROOT / "Makefile", *(ROOT / "bench").rglob("*.py"), *(ROOT / "tests").rglob("*.py")}
    for folder in (".", "bench", "docs", "client/exgs", "spec"):
        found.update((ROOT / folder).glob("*.md" if folder == "." else "**/*.md"))
    missing = set()
    for path in found:
        text = path.read_text("utf-8")
        commands = re.findall(r"python -m (bench[\w.]*)", text)
        for name in [*commands, *re.findall(r"^from (bench[\w.]*) import", text, re.MULTILINE)]:
            module = ROOT.joinpath(*name.rstrip(".").split("."))
            entry = "__main__.py" if name in commands else "__init__.py"
            if not module.with_suffix(".py").exists() and not (module / entry).exists():
                missing.add(f"{path.relative_to(ROOT)}: {name}")
    assert not missing


_CARD = "client/exgs/painter/weights/README.md"


@pytest.mark.parametrize("document", [*DOCUMENTS, _CARD, "bench/notes.md", "spec/format.md"])
def test_every_file_that_is_named_exists(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    places = "bench|client|codec|deploy|docs|server|spec|tests"
    named = [name.replace("NAME", "*") for name in re.findall(rf"`((?:{places})/[^`\s]*)`", text)]
    assert not [name for name in named if not any(ROOT.glob(name.rstrip("/")))]
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
