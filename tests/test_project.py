"""The project's own files agree with each other."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow/convergent"
# store.py only reads a training's images and must not retrain the nets; __init__ sets speed, not results.
NOT_DECLARED = {"train": {"store"}}


def imports(module: str) -> set[str]:
    """Modules of the package that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names |= {node.module} if node.module else {alias.name for alias in node.names}
    return names


def closure(module: str) -> set[str]:
    """All modules of the package that a module needs, without itself."""
    found, new = set(), imports(module)
    while new:
        found |= new
        new = set().union(*map(imports, new)) - found
    return found - {module}


def rules() -> dict[str, tuple[str, set[str]]]:
    """Rule -> (module of its script, modules declared as its code)."""
    found = {}
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for part in re.split(r"^ *rule\b ?", file.read_text(), flags=re.M)[1:]:
            script = re.search(r'script="workflow/convergent/(\w+)\.py"', part)
            if script:
                code = re.search(r"code=sources\(([^)]*)\)", part)
                declared = set(re.findall(r'"(\w+)"', code[1])) if code else set()
                found[part.split(":")[0] or script[1]] = (script[1], declared)  # rules of one form are made in a loop
    return found


@pytest.mark.parametrize("rule", rules())
def test_code_inputs_are_the_import_closure(rule: str) -> None:
    module, declared = rules()[rule]
    assert declared == closure(module) - NOT_DECLARED.get(module, set())


def test_every_stage_has_its_tests() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py") if "def main(" in path.read_text()}
    assert modules <= {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}


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
