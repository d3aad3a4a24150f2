"""The project's own files agree with each other."""

import ast
import importlib
import itertools
import re
import statistics
import subprocess
import sys

import pytest
import yaml

from tests import ROOT
from workflow.convergent.figures import draw

PACKAGE = ROOT / "workflow/convergent"
RULES = "".join(file.read_text() for file in sorted((ROOT / "workflow/rules").glob("*.smk")))


def rules() -> dict[str, list[str]]:
    """Lines of each rule, its head among them, by its name or that of its module."""
    found: dict[str, list[str]] = {}
    for text in re.split(r"^(?=(?:    )*rule\b)", RULES, flags=re.M)[1:]:
        first, *rest = text.splitlines()
        inner = first[: len(first) - len(first.lstrip())] + "    "
        body = [first, *itertools.takewhile(lambda line, inner=inner: not line or line.startswith(inner), rest)]
        name = re.search(r"\brule (\w+)|name:\n *f?\"?(\w+)", text)
        found[name[1] or name[2]] = [line for line in body if line]
    return found


@pytest.mark.parametrize("rule", rules())
def test_a_rule_runs_the_module_whose_code_it_depends_on(rule: str) -> None:
    text = "\n".join(rules()[rule])
    modules = re.findall(r"python -m workflow\.convergent\.([\w.{}:]+)", text)
    tracked = re.findall(r"\*stage\(f?\"([\w.{}\[\]']+)\"", text)
    assert [module.replace("{params.family:q}", "{entry['family']}") for module in modules] == tracked


@pytest.mark.parametrize("rule", rules())
def test_a_shell_line_quotes_every_parameter(rule: str) -> None:
    """Names of the user's reach it as parameters alone: its files are named by what the schema restricts."""
    shell = "\n".join(rules()[rule]).partition("shell:")[2]
    fields = re.findall(r"{([^}]+)}", shell)
    assert all(field.endswith(":q") for field in fields if field.startswith("params"))
    assert {re.split(r"\W", field)[0] for field in fields} <= {
        "params",
        "input",
        "output",
        "wildcards",
        "threads",
        "log",
    }


def test_the_table_of_figures_has_every_figure_of_every_family_and_its_caption() -> None:
    table = (ROOT / "workflow/rules/figures.smk").read_text()
    entries = re.findall(r'^    "(\w+)": {\n +"family": "(\w+)"', table, flags=re.M)
    families = {family for _, family in entries}
    modules = {name: importlib.import_module(f"workflow.convergent.figures.{name}").__name__ for name in families}
    drawn = [(figure, family) for family, module in modules.items() for figure in draw.figures_of(module)]
    assert sorted(entries) == sorted(drawn)
    captions = {file.stem for file in (ROOT / "workflow/report").glob("*.rst")} - {"workflow", "tables"}
    assert captions == {figure for figure, _ in drawn}


def test_training_keeps_the_digest_of_the_very_files_that_rerun_it() -> None:
    """What reruns the rule and what makes the checkpoint useless is one list; images are in both by their digests.

    A user's own files the command finds itself, as ``own_code`` does for the rule.
    """
    text = "\n".join(rules()["train"])
    assert re.findall(r'(\S+)\("nets\.train", UNRELATED\)', text) == ["*stage", "code=sources"]
    assert "--code {params.code:q}" in text
    assert "**MADE" in text
    assert "own_code" in re.search(r"MADE = {.*?}", RULES, flags=re.S)[0]


def test_rules_are_short_and_say_little_that_all_of_them_say() -> None:
    """What serves no one rule alone: where its log and benchmark go, in which environment it runs."""
    found = list(rules().values())
    assert statistics.median(map(len, found)) <= 25
    shared = re.compile(r"(log|benchmark|conda):$|.*/(logs|benchmarks)/|.*environment\.yml")
    repeated = sum(bool(shared.match(line.strip())) for rule in found for line in rule)
    assert repeated <= 0.16 * sum(map(len, found))


BY_HAND = {"nets.describe"}  # commands that no rule runs: people do


def test_every_stage_has_its_rule_and_its_tests() -> None:
    """A stage is a module that can be run."""
    files = [file for file in PACKAGE.rglob("*.py") if "def main(" in file.read_text()]
    assert len(files) > 15
    for module in (file.relative_to(PACKAGE).with_suffix("") for file in files):
        name = ".".join(module.parts)
        assert f'stage("{name}"' in RULES or f'"family": "{module.name}"' in RULES or name in BY_HAND
        assert (ROOT / "tests" / module.parent / f"test_{module.name}.py").exists()


def test_tests_lie_as_the_package_does() -> None:
    for file in (ROOT / "tests").glob("*/test_*.py"):
        folder = file.parent.name
        if folder != "workflow":
            place = PACKAGE.parent if folder == "runner" else PACKAGE
            assert (place / folder / f"{file.stem.removeprefix('test_')}.py").exists()


@pytest.mark.parametrize("folder", [path.parent.name for path in PACKAGE.glob("*/__init__.py")])
def test_a_folder_imports_nothing_by_itself(folder: str) -> None:
    """Else the Snakefile, which needs a module of ``nets``, would load torch for every job of a cluster."""
    (only,) = ast.parse((PACKAGE / folder / "__init__.py").read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)


@pytest.mark.slow
def test_parsing_the_workflow_imports_nothing_heavy() -> None:
    code = "import sys; from workflow.convergent import checks, tracked; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "numpy", "zarr", "matplotlib"} & set(loaded.split())


@pytest.mark.slow
def test_figures_import_what_draws_them_alone() -> None:
    """There are over a hundred jobs that draw, and scipy.stats takes longer than a figure."""
    families = {f"workflow.convergent.figures.{family}" for family in re.findall(r'"family": "(\w+)"', RULES)}
    code = f"import sys, {', '.join(families)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {*families, "matplotlib"} <= set(loaded.split())
    assert not {"torch", "scipy", "zarr", "sklearn", "networkx", "pandas"} & set(loaded.split())


def pins(text: str) -> set[str]:
    """name==version lines, with their markers."""
    return {" ".join(pin.split()) for pin in re.findall(r"^\W*([\w.-]+==[^\\\n]*)", text, flags=re.M)}


def test_conda_and_pip_install_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = {" ".join(pin.split()) for pin in environment["dependencies"][-1]["pip"]}
    assert conda == pins((ROOT / "requirements.txt").read_text())


def test_every_requirement_is_pinned_with_hashes_and_without_an_index() -> None:
    text = (ROOT / "requirements.txt").read_text()
    asked = re.findall(r"^[\w-]+", (ROOT / "requirements.in").read_text(), flags=re.M)
    pinned = {pin.split("==")[0].lower() for pin in pins(text)}
    assert {name.lower() for name in asked} <= pinned
    blocks = re.split(r"^(?=\S)", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"index|https?://|find-links", text)


def test_the_map_of_the_package_names_every_module() -> None:
    """In the folder that it lies in, once."""
    document = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text()))
    sections = re.split(r"^(?=\w)", document.split("\nGlossary")[0], flags=re.M)
    listed = {
        section.split()[0]: {
            name for line in re.findall(r"^    ([\w, ]+?)   +", section, flags=re.M) for name in line.split(", ")
        }
        for section in sections
        if section
    }
    there = {
        folder: {file.stem for file in place.glob("*.py")} - {"__init__"}
        for folder, place in {"shared": PACKAGE, **{f.name: f for f in PACKAGE.iterdir() if f.is_dir()}}.items()
        if folder != "__pycache__"
    }
    assert {folder: listed[folder] for folder in there} == there


@pytest.mark.slow
def test_functions_and_modules_can_be_read_in_a_sitting() -> None:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "workflow/runner").rglob("*.py")]
    lengths = {
        f"{file.name}: {node.name}": node.end_lineno - node.lineno + 1
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 40} == {}
    assert [file.name for file in files if len(file.read_text().splitlines()) > 270] == []
