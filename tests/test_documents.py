"""The documents agree with the code: links lead somewhere; files, functions, rules and messages in them exist."""

import ast
import re

import pytest

from tests import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "results/README.md"]
}
LINKS = [(page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^)\s]+)\)", text)]


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].encode()) <= 6144


def test_pictures_of_the_documents_are_small() -> None:
    assert sum(file.stat().st_size for file in (ROOT / "docs").glob("*.png")) < 2 * 2**20


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as they are made on the web."""
    heads = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_relative_link_leads_to_a_file_and_a_heading(page: str, link: str) -> None:
    if link.startswith("https://"):
        return
    name, _, anchor = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text())


def tracked() -> set[str]:
    """Files of the repository and their folders."""
    found = {
        path.relative_to(ROOT)
        for place in ("workflow", "tests", "docs", "profiles")
        for path in (ROOT / place).rglob("*")
    }
    return {path.as_posix() for path in found | {path.relative_to(ROOT) for path in ROOT.iterdir()}}


@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_a_page_names_exists(page: str) -> None:
    """Paths in backticks that begin as those of the repository do, or end as those of the package."""
    files = tracked()
    package = {path.removeprefix("workflow/convergent/") for path in files}
    for path in re.findall(r"`([\w./-]+)`", PAGES[page]):
        if re.match(r"(workflow|tests|docs|profiles)/", path):
            assert path.rstrip("/") in files
        elif re.match(r"\w+/\w+\.(py|smk)$", path):
            assert path in package


SYMBOLS = re.findall(r"^\|[^|]*\| \[[^]]*\]\(\.\./(\S+\.py)\) \| `(\w+)` \|$", PAGES["docs/method.md"], flags=re.M)


@pytest.mark.parametrize(("file", "name"), SYMBOLS)
def test_what_method_says_is_in_a_module_is_there(file: str, name: str) -> None:
    assert re.search(rf"^(def|class) {name}\b", (ROOT / file).read_text(), flags=re.M)


def test_method_names_every_stage() -> None:
    """Each module with a main stands in the first table, as a link; so does each rule that is not a figure."""
    stages = [p for p in (ROOT / "workflow/convergent").glob("*/*.py") if "def main(" in p.read_text()]
    page = PAGES["docs/method.md"]
    for path in stages:
        if path.parent.name != "figures":
            assert f"(../{path.relative_to(ROOT).as_posix()})" in page
    rules = re.findall(
        r"^rule (\w+):", "".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk")), flags=re.M
    )
    assert [rule for rule in rules if f"`{rule}`" not in page] == []
    assert len(SYMBOLS) > 20


LONGEST = 400  # characters of a message; longer texts are docstrings


def text_of(node: ast.AST) -> str:
    """A text of the code with … for what varies; empty for what is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.fixture(scope="module")
def nodes() -> list[ast.AST]:
    """All of the code."""
    return [node for path in (ROOT / "workflow").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]


@pytest.fixture(scope="module")
def texts(nodes: list[ast.AST]) -> set[str]:
    """Texts of the code and of the rules."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    found = {text for node in nodes if 0 < len(text := text_of(node)) <= LONGEST}
    return found | {re.sub(r"\{[^{}]*\}", "…", text) for text in re.findall(r"\"([^\"\n]+)\"", rules)}


FIRST_CELLS = re.findall(r"^\| ([^|]*…[^|]*) \|", PAGES["docs/running.md"], flags=re.M)
EXPLAINED = [message for cell in FIRST_CELLS for message in re.findall(r"`([^`]*…[^`]*)`", cell)]


def fits(message: str, text: str) -> bool:
    """Whether a message of the page, with … for what varies, is found in a text of the code."""
    parts = message.split("…")
    return all(part in text for part in parts) and bool(re.search(".*".join(map(re.escape, parts)), text, flags=re.S))


@pytest.mark.parametrize("message", EXPLAINED)
def test_a_message_that_the_page_explains_is_one_of_the_code(message: str, texts: set[str]) -> None:
    assert any(fits(message, text) for text in texts)


def test_every_refusal_is_explained(nodes: list[ast.AST]) -> None:
    """But those of a command's own options, which begin with their name and are met only by hand."""
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError"]
    said = [text for call in calls if (text := text_of(call.args[0])) and "--" not in text]
    assert len(said) > 40
    assert [text for text in said if not any(fits(message, text) for message in EXPLAINED)] == []


def test_the_version_is_one() -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), flags=re.M)
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), flags=re.M)
    logged = re.search(r"^## (\S+), \d{4}-\d\d-\d\d", PAGES["CHANGELOG.md"], flags=re.M)
    assert version
    assert cited
    assert logged
    assert version[1] == cited[1] == logged[1]
