"""Paths, links, modules and options that the documentation mentions exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

from lora_convert.operations.origins import PROVENANCE
from tests.docs.pages import PAGES, ROOT, blocks
from tests.docs.test_reference import COMMANDS

IDS = [str(path.relative_to(ROOT)) for path in PAGES]
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TOP = (
    "lora_convert/",
    "lora_convert_train/",
    "tests/",
    "docs/",
    "fixtures/",
    "benchmarks/",
    ".ci/",
)
_OPTIONS = {
    spelling
    for command, context in COMMANDS.values()
    for option in command.get_params(context)
    if isinstance(option, click.Option)
    for spelling in (*option.opts, *option.secondary_opts)
}


def _prose(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def _lines_of_commands(text: str) -> list[str]:
    lines = [
        line
        for block in blocks(text)
        if block.language in {"bash", "powershell"}
        for line in re.sub(r"[\\`]\n", " ", block.text).splitlines()
    ]
    spans = _CODE.findall(_prose(text))
    return [line for line in (*lines, *spans) if line.lstrip().startswith(("lora-convert", "--"))]


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_options_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = {
        flag.replace("_", "-") for line in _lines_of_commands(text) for flag in _FLAG.findall(line)
    }
    assert used <= _OPTIONS, used - _OPTIONS


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_commands_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    words = [
        line.split()[1]
        for line in _lines_of_commands(text)
        if line.lstrip().startswith("lora-convert ")
    ]
    used = {word.strip("`,.") for word in words if re.match(r"[a-z]", word)}
    assert {f"lora-convert {word}" for word in used} <= set(COMMANDS), used


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(_prose(path.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, f"{path.name}: {link}"


def test_the_readme_leads_to_every_page() -> None:
    readme = ROOT / "README.md"
    links = _LINK.findall(_prose(readme.read_text(encoding="utf-8")))
    led = {(ROOT / link.partition("#")[0]).resolve() for link in links}
    assert not [str(page) for page in PAGES if page != readme and page.resolve() not in led]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_paths_of_the_project_exist(path: Path) -> None:
    for span in _CODE.findall(path.read_text(encoding="utf-8")):
        if span.startswith(_TOP) and "NAME" not in span and " " not in span:
            assert list(ROOT.glob(span.rstrip("/"))), f"{path.name}: {span}"


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_modules_and_names_exist(path: Path) -> None:
    for span in _CODE.findall(path.read_text(encoding="utf-8")):
        if re.fullmatch(r"lora_convert(_train)?(\.\w+)+", span) and span != PROVENANCE:
            assert _resolves(span), f"{path.name}: {span}"


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_programs_of_the_project_exist(path: Path) -> None:
    for name in re.findall(
        r"python (?:-m )?((?:tests|benchmarks|docs)[\w./]*)", path.read_text(encoding="utf-8")
    ):
        place = ROOT / (name if name.endswith(".py") else name.replace(".", "/"))
        assert (
            place.is_file()
            or place.with_suffix(".py").is_file()
            or (place / "__main__.py").is_file()
        ), name


def _resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False
