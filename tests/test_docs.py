"""What is written for people is true: commands run, settings are all there, links lead somewhere, words are ours."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests import cases
from tests.make import make_key
from tests.server import Server
from tests.tracking.ingest.sender import Sender, a_sender
from tracking.models import Run

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
README = PAGES[0].read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"\bWFLO_[A-Z]+(?:_[A-Z]+)*\b")
# Word by word: these excuse, plead or belittle.
NOT_OURS = re.compile(r"\b(please|oops|successfully|simply)\b", re.IGNORECASE)
TOP = "wflo|tracking|dashboards|wflo_site|tests|bench|docs|requirements"


def _files(*patterns: str) -> list[Path]:
    """Files of the project, also those not committed yet, that are there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in sorted(set(listed.splitlines())) if (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sender(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    """Its key may send and read, as the first key of an installation may."""
    with a_sender(served, django_db_blocker) as sender:
        _, sender.key = make_key(sender.team)
        yield sender


@pytest.mark.django_db
def test_the_commands_of_the_readme_do_what_it_says(sender: Sender) -> None:
    answers = []
    for command in COMMANDS:
        done = subprocess.run(
            ["sh", "-euc", command.replace("http://127.0.0.1:8000", sender.server.url)],
            env={"PATH": os.environ["PATH"], "WFLO_API_KEY": sender.key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answers.append(done.stdout)
    run = Run.objects.get(team=sender.team, origin="otlp")
    assert (run.agents, run.llm_calls, run.input_tokens, run.output_tokens) == (["hello"], 1, 1200, 80)
    assert len(answers) == 3
    assert '"hello"' in answers[1]
    assert "What can you do?" in json.loads(answers[2])["choices"][0]["message"]["content"]


def test_what_is_said_to_type_can_be_typed() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = {word for page in PAGES for word in re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.MULTILINE)}
    assert {"up", "demo"} <= typed
    assert typed <= targets


def _settings_of_the_source() -> set[str]:
    """Names that stand alone as a string (so they are read or set), and those of make and continuous integration."""
    names: set[str] = set()
    for path in _files("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SETTING.fullmatch(node.value):
                names.add(node.value)
    for name in ("Makefile", ".ci/run"):
        names.update(SETTING.findall((ROOT / name).read_text()))
    return names


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    source = _settings_of_the_source()
    assert len(source) > 20
    assert source - set(SETTING.findall(section)) == set(), "not in the README"
    told = {name for page in PAGES for name in SETTING.findall(page.read_text().replace("WFLO_OIDC_*", ""))}
    assert told - source == set(), "not in the source"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_files_named_are_there(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.is_file(), target
        assert not anchor or anchor in _anchors(path), target
    # Tests in one row share the folder of the first.
    for file in re.findall(rf"`((?:{TOP})/[\w./-]*)`", text):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize(
    ("page", "told"), [("agents.md", "sunny in"), ("library.md", "'draft'"), ("resilience.md", "after 3 tries")]
)
def test_the_lines_of_a_tutorial_run_as_they_stand(page: str, told: str) -> None:
    """In one process, each block after the one before, as a reader types them."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 4
    code = "import ast, asyncio, sys\nscope = {'__name__': 'tutorial'}\nasync def main():\n    for block in sys.stdin.read().split('\\0'):\n"
    code += "        found = eval(compile(block, sys.argv[1], 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), scope)\n        if found is not None: await found\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + "asyncio.run(main())", page],
        input="\0".join(blocks),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_the_map_names_what_is_there() -> None:
    tree = README.partition("## The map")[2].partition("## Terms")[0].split("```")[1]
    folder = ""
    for line in filter(None, tree.splitlines()):
        names = re.match(r"(\s*)((?:[\w*]+(?:\.py|/)\s)+)", line + " ")
        assert names, line
        for name in names[2].split():
            if not names[1] and name.endswith("/"):
                folder = name
                assert (ROOT / name).is_dir(), name
            else:
                assert list((ROOT / folder).glob(name.rstrip("/"))), f"{folder}{name}"


@pytest.mark.parametrize(
    ("catalogue", "number"),
    [(cases.INGEST, 50), (cases.MONEY, 48), (cases.LIBRARY, 29)],
    ids=["ingest", "money", "library"],
)
def test_the_lists_of_cases_are_up_to_date(catalogue: cases.Catalogue, number: int) -> None:
    assert len(catalogue.cases) == number
    assert catalogue.page.read_text() == cases.page(catalogue), "write it anew: python -m tests.cases"
    assert "none yet" not in cases.page(catalogue)


def test_no_page_pleads_or_boasts() -> None:
    said = {
        str(path.relative_to(ROOT)): found
        for path in [*PAGES, *_files("dashboards/templates/*", "dashboards/static/*.js")]
        if (found := NOT_OURS.findall(path.read_text()))
    }
    assert said == {}
