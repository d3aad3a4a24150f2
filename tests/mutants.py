"""Which wrong lines the tests notice: ``make mutants`` changes one line at a time, at random places of the package.

Each change is made in a copy of the project, and tests are run until one fails: those of the module, of its folder,
then all that run no workflow. A change that no test notices is listed in docs/reliability.md, as a gap of the tests or,
where it changes no result, with the reason (``EQUIVALENT``). One change takes seconds where it is noticed and minutes
where it is not: about an hour and a half for 100.
"""

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import ROOT
from workflow.convergent.commands import new_parser

PACKAGE = Path("workflow/convergent")
PAGE = ROOT / "docs/reliability.md"
MARKERS = "<!-- mutants:begin -->", "<!-- mutants:end -->"
QUICK = ["-m", "not slow"]
ENDLESS = "endless"  # stands for a test that did not end
SECONDS = 900  # after which tests that run on are taken to have noticed; the longest take a third of it

# (module, old, new) -> why no test can notice: read and judged by hand.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("figures/statistics.py", "3", "(4)"): "the height of a figure, or columns of its legend: a matter of taste",
    ("nets/untrained.py", "4096", "(4097)"): "images of a sample: of one more the mean is as good",
}

COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
EXCHANGED = {"min": "max", "argmin": "argmax", "minimum": "maximum", "any": "all", "amin": "amax", "floor": "ceil"}
EXCHANGED |= {new: old for old, new in EXCHANGED.items()}
SYMMETRIC = {"isinstance", "min", "max", "minimum", "maximum", "array_equal", "allclose"}
# Calls that state something for people, or build the parser of a command.
TALK = {"InputError", "print", "add_argument", "new_parser", "warn", "damaged", "system_error", "refuse", "log"}
TALK |= {"ValueError", "TypeError", "KeyError", "IndexError", "SystemExit", "RuntimeError", "FileNotFoundError"}


@dataclass(frozen=True)
class Mutant:
    """One change of one place."""

    module: str  # its file, relative to the project
    kind: str
    line: int
    span: tuple[int, int]  # of bytes of the file that are replaced
    old: str
    new: str

    def source(self) -> bytes:
        """The module with the change."""
        whole, (first, last) = (ROOT / self.module).read_bytes(), self.span
        return whole[:first] + self.new.encode() + whole[last:]


def called(node: ast.AST) -> str:
    """Last part of the name of the function that a node calls; empty for another node."""
    function = node.func if isinstance(node, ast.Call) else None
    return getattr(function, "attr", getattr(function, "id", ""))


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_left_out(node: ast.AST) -> bool:
    """Whether nothing is changed within a node: messages, parsers, assertions, imports."""
    if isinstance(node, ast.FunctionDef):
        return node.name == "parse"
    if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):  # a type
        name = node.value.id
        return name in ("dict", "list", "tuple", "set", "frozenset", "type") or (
            name[0].isupper() and not name.isupper()
        )
    left_out = (ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)
    return isinstance(node, left_out) or called(node) in TALK


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes in which something is changed, and whether each lies in an index."""
    waiting = [(tree, False)]
    while waiting:
        node, in_index = waiting.pop()
        if is_left_out(node):
            continue
        yield node, in_index
        types = [getattr(node, name, None) for name in ("annotation", "returns")]
        types += getattr(node, "decorator_list", [])
        types += node.args[1:] if called(node) == "isinstance" else []
        for child in ast.iter_child_nodes(node):
            if not any(child is part for part in types):
                within = in_index and isinstance(node, ast.Tuple | ast.Slice | ast.BinOp | ast.UnaryOp)
                waiting.append((child, within or (isinstance(node, ast.Subscript) and child is node.slice)))


def changed(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def of_operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "comparison", changed(node, ops=[COMPARISONS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.BoolOp):
        yield "condition", changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if not isinstance(node, ast.BinOp) or is_text(node.left) or is_text(node.right):
        return
    none = any(isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right))  # in a type
    if isinstance(node.op, ast.MatMult):
        yield "arithmetic", changed(node, left=node.right, right=node.left)
    elif type(node.op) in ARITHMETIC and not none:
        yield "arithmetic", changed(node, op=ARITHMETIC[type(node.op)]())


def of_values(node: ast.AST, in_index: bool) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        new = not node.value if isinstance(node.value, bool) else node.value * 1.1 or 1.0
        new = node.value + 1 if type(node.value) is int else new
        yield "index" if in_index else "constant", ast.Constant(new)
    if isinstance(node, ast.Slice) and (node.lower is None) != (node.upper is None):
        yield "index", changed(node, lower=node.upper, upper=node.lower)
    if isinstance(node, ast.Tuple) and in_index and len(node.elts) > 1:
        yield "axes", changed(node, elts=[node.elts[1], node.elts[0], *node.elts[2:]])
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "axes", node.value
    if isinstance(node, ast.keyword) and node.arg in ("axis", "dim") and isinstance(node.value, ast.Constant):
        yield "axes", changed(node, value=ast.Constant(0 if node.value.value else 1))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield "sign" if isinstance(node.op, ast.USub) else "condition", node.operand


def of_calls_and_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Call):
        name = called(node)
        if name in EXCHANGED:
            attribute = "attr" if isinstance(node.func, ast.Attribute) else "id"
            yield "min, max", changed(node, func=changed(node.func, **{attribute: EXCHANGED[name]}))
        starred = any(isinstance(argument, ast.Starred) for argument in node.args[:2])
        if len(node.args) > 1 and not starred and name not in SYMMETRIC:
            yield "arguments", changed(node, args=[node.args[1], node.args[0], *node.args[2:]])
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "condition", changed(node.test, negated=True)
    if isinstance(node, ast.comprehension) and node.ifs:
        yield "condition", changed(node.ifs[0], negated=True)
    statement = isinstance(node, ast.AugAssign | ast.Raise) or (isinstance(node, ast.Expr) and called(node.value))
    kept = isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)
    if (statement or kept) and not (isinstance(node, ast.Expr) and called(node.value) in TALK):
        yield "statement", ast.Pass()


def position(node: ast.AST, starts: list[int]) -> tuple[int, int]:
    """First byte of a node and the byte after its last. starts: first byte of each line"""
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


@cache
@cache
def mutants_of(module: str) -> list[Mutant]:
    """All changes of a module, in order of their places."""
    source = (ROOT / module).read_bytes()
    starts = [0]
    for text in source.split(b"\n"):
        starts.append(starts[-1] + len(text) + 1)
    found = []
    for node, in_index in places(ast.parse(source)):
        ways = [*of_operators(node), *of_values(node, in_index), *of_calls_and_statements(node)]
        for kind, new in ways:
            place = new if hasattr(new, "negated") else node
            text = ast.unparse(new)
            text = f"not ({text})" if hasattr(new, "negated") else text
            whole = isinstance(place, ast.stmt | ast.Slice | ast.keyword | ast.Tuple)
            text = text[1:-1] if isinstance(place, ast.Tuple) else text if whole else f"({text})"
            mutant = Mutant(module, kind, place.lineno, position(place, starts), ast.unparse(place), text)
            if mutant.old != ast.unparse(new) or hasattr(new, "negated"):
                found.append(mutant)
    return sorted(found, key=lambda mutant: (mutant.span, mutant.kind, mutant.new))


def drawn(count: int, seed: int) -> list[Mutant]:
    """Changes drawn at random: first one of each module, then of all. Each kind in a module is equally likely."""
    rng = random.Random(seed)
    modules = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / PACKAGE).rglob("*.py"))
    left = {module: [*mutants] for module in modules if (mutants := mutants_of(module))}
    weights = {module: len(mutants) for module, mutants in left.items()}
    order = rng.sample(list(left), len(left))
    order += rng.choices(list(left), list(weights.values()), k=max(0, 10 * count))
    chosen = []
    for module in order:
        if len(chosen) == count:
            break
        if left[module]:
            kind = rng.choice(sorted({mutant.kind for mutant in left[module]}))
            mutant = rng.choice([mutant for mutant in left[module] if mutant.kind == kind])
            left[module].remove(mutant)
            chosen.append(mutant)
    return chosen


def copy_of_the_project(folder: Path) -> None:
    """The files of the project that git knows or would know."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def failure(folder: Path, *options: str) -> str:
    """The first test that fails, ENDLESS where tests run too long and are ended, empty where all pass."""
    # bytecode is recognised by size and second of its source, which two changes can share
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-n0", "-q", "-p", "no:cacheprovider", *options]
    tests = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = tests.communicate(timeout=SECONDS)
        named = re.search(r"^(?:FAILED|ERROR) (\S+)", said, flags=re.M)
        return "" if tests.returncode in (0, 5) else named[1] if named else "pytest"  # 5: there are none
    except subprocess.TimeoutExpired:
        return ENDLESS
    finally:
        if tests.poll() is None:
            os.killpg(tests.pid, signal.SIGKILL)
            tests.communicate()


def own_tests(mutant: Mutant) -> Path:
    """File of the tests of a change's module."""
    module = Path(mutant.module).relative_to(PACKAGE)
    return Path("tests", module.parent, f"test_{module.stem}.py")


def noticed_by(mutant: Mutant, folder: Path) -> str:
    """The test that notices a change in a copy of the project, or ENDLESS; empty where none does."""
    own, file = own_tests(mutant), folder / mutant.module
    runs = [[str(own)]] if (folder / own).exists() else []
    runs += [[str(own.parent)]] if own.parent != Path("tests") else []
    whole = file.read_bytes()
    file.write_bytes(mutant.source())
    try:
        return next(filter(None, (failure(folder, *options) for options in [*runs, QUICK])), "")
    finally:
        file.write_bytes(whole)


def shown(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.line} {mutant.kind}: {mutant.old} -> {mutant.new}"


def cell(text: str) -> str:
    """A piece of code as a cell of a table."""
    line = " ".join(text.split()).replace("|", "\\|")
    return f"`{line if len(line) <= 60 else line[:57] + '...'}`"


def row(mutant: Mutant, reason: str) -> str:
    name = mutant.module.removeprefix(f"{PACKAGE}/")
    return f"| `{name}` {mutant.line} | {mutant.kind} | {cell(mutant.old)} | {cell(mutant.new)} | {reason} |"


def table(results: list[tuple[Mutant, str]], seed: int) -> str:
    """The section of the page."""
    noticed = [(own_tests(mutant), by) for mutant, by in results if by]
    further = [(file, by) for file, by in noticed if by.partition("::")[0] != str(file)]
    module = len(noticed) - len(further)
    folder = sum(by.startswith(f"{file.parent}/") for file, by in further if file.parent != Path("tests"))
    endless = sum(by == ENDLESS for _, by in noticed)
    others = len(noticed) - module - folder - endless
    missed = [(mutant, EQUIVALENT.get(key(mutant), "gap of the tests")) for mutant, by in results if not by]
    lines = [
        f"Of {len(results)} changes of one line each (seed {seed}) the tests noticed {len(noticed)}: those of the",
        f"module {module}, of its folder {folder}, others {others}; {endless} were noticed by tests that did not end.",
    ]
    if missed:
        lines += ["Not noticed:", "", "| module, line | change | of | to | why |", "|---|---|---|---|---|"]
        lines += [row(mutant, reason) for mutant, reason in missed]
    return "\n".join(lines)


def key(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.module.removeprefix(f"{PACKAGE}/"), mutant.old, mutant.new


def put_into_page(text: str) -> None:
    """Replace what stands between the markers."""
    begin, end = MARKERS
    page = PAGE.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", flags=re.S)
    assert len(pattern.findall(page)) == 1, f"{PAGE} has no markers {MARKERS}"
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page))


def parse() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--count", type=int, default=100, help="number of changes")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--list", action="store_true", help="show the changes, run nothing")
    parser.add_argument("--numbers", type=int, nargs="+", help="of changes to try, from 0 on; the page stays as it is")
    parser.add_argument("--log", type=Path, help="file of results, one a line; those in it are not tried again")
    return parser.parse_args()


def known(log: Path | None) -> dict[str, str]:
    """Results of an earlier run, by what was changed."""
    if not log or not log.exists():
        return {}
    return {line["mutant"]: line["by"] for line in map(json.loads, log.read_text().splitlines())}


def main() -> None:
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the tests that run end too
    chosen = list(enumerate(drawn(args.count, args.seed)))
    if args.numbers:
        chosen = [chosen[number] for number in args.numbers]
    if args.list:
        for number, mutant in chosen:
            print(f"{number:3} {shown(mutant)}")
        return
    results, earlier = [], known(args.log)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        copy_of_the_project(folder)
        if not args.numbers and (failing := failure(folder, *QUICK)):
            raise SystemExit(f"{failing} fails without any change; mend it first")
        for number, mutant in chosen:
            begun, name = time.monotonic(), repr(key(mutant))
            by = earlier[name] if name in earlier else noticed_by(mutant, folder)
            results.append((mutant, by))
            print(f"{number:3} {time.monotonic() - begun:4.0f} s {shown(mutant)}: {by or 'NOT NOTICED'}", flush=True)
            if args.log and name not in earlier:
                with args.log.open("a") as log:
                    log.write(json.dumps({"mutant": name, "by": by}) + "\n")
    print(table(results, args.seed))
    if not args.numbers:
        put_into_page(table(results, args.seed))


if __name__ == "__main__":
    main()
