"""Which files a result depends on, read from imports: modules of the package that a stage runs, and a user's own.

The rules track these files, so that an edit of a module reruns the stages that import it and no others. Of the package
only relative imports are followed; a test holds that it has no absolute imports of itself. Of a user's own module all
imports are followed, as far as they lead to files in the folder in which Snakemake runs.
"""

import ast
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import all_suffixes
from pathlib import Path

NAME = "workflow.convergent"
PACKAGE = Path("workflow/convergent")
IMPORT = re.compile(rb"^[ \t]*(from[ \t]+[.\w]+[ \t]+import[ \t]+(?:\([^)]*\)|.*)|import[ \t].*)", re.MULTILINE)
INLINE = re.compile(rb"[:;][ \t]*(?:from|import)[ \t]")


def path_of(module: str) -> Path:
    """File of a module, relative to the folder in which Snakemake runs.

    >>> path_of("moments.merge").as_posix()
    'workflow/convergent/moments/merge.py'
    """
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


@cache
def syntax_tree(code: bytes) -> ast.Module:
    """Syntax tree of code, which is parsed once."""
    return ast.parse(code)


def parsed(file: str | Path) -> ast.Module:
    """Syntax tree of a file. Of the package's own it has the imports alone, where each of them begins a line.

    Every start of Snakemake asks for all of them, and a whole tree takes ten times as long.
    """
    code = Path(file).read_bytes()
    if PACKAGE in Path(file).parents and not INLINE.search(code):
        with suppress(SyntaxError):  # a line of prose that begins as an import does, or one that goes on below
            return syntax_tree(b"\n".join(IMPORT.findall(code)))
    return syntax_tree(code)


def dynamic_import(call: ast.Call) -> str:
    """Name that ``import_module`` or ``__import__`` is called with, where it is written out; else empty."""
    called = getattr(call.func, "attr", getattr(call.func, "id", ""))
    name = getattr(call.args[0], "value", None) if call.args else None
    return name if called in ("import_module", "__import__") and isinstance(name, str) else ""


@cache
def statements(code: ast.AST) -> list[tuple[int, str, list[str]]]:
    """Imports anywhere in code: number of leading dots, module, and names that are taken from it."""
    found: list[tuple[int, str, list[str]]] = []
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", [alias.name for alias in node.names]))
        elif isinstance(node, ast.Call) and (name := dynamic_import(node)):
            found.append((len(name) - len(name.lstrip(".")), name.lstrip("."), []))
    return found


def imported(code: ast.AST, module: str, package: bool = False) -> set[str]:
    """Absolute names of the modules that a module's code imports, and of what it takes from them, which may be modules.

    ``package``: whether the code is that of ``__init__.py``. ``from a import *`` gives ``a.*``.

    >>> sorted(imported(ast.parse("from . import b\\nimport c.d as e"), "a.module"))
    ['a', 'a.b', 'c.d']
    """
    folder = module.split(".") if package else module.split(".")[:-1]
    names: set[str] = set()
    for level, name, taken in statements(code):
        above = folder[: max(0, len(folder) + 1 - level)] if level else []
        origin = [*above, *([name] if name else [])]
        names |= {".".join(origin), *(".".join([*origin, each]) for each in taken)}
    return names - {""}


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports by ``from . import a`` or ``from ..b import c``, anywhere in it."""
    names = imported(parsed(path_of(module)), f"{NAME}.{module}")
    within = {name.removeprefix(f"{NAME}.") for name in names if name.startswith(f"{NAME}.")}
    return frozenset(name for name in within if path_of(name).exists())


def sources(module: str, without: Collection[str] = ()) -> list[str]:
    """Files of a module and of all modules that it imports, directly or through others, sorted by name.

    ``without`` names modules that the result does not depend on. Modules that only they import are left out too.
    Raises FileNotFoundError where there is no such module.
    """
    needed: set[str] = set()
    new = {module}
    while new:
        needed |= new
        new = {name for known in new for name in imports(known)} - needed - set(without)
    return sorted(path_of(name).as_posix() for name in needed)


def files_at(path: Path) -> set[Path]:
    """Files that are the module at a path without its suffix, which may be a package."""
    places = [(path.parent, path.name), (path, "__init__")]
    files = [folder / f"{stem}{suffix}" for folder, stem in places for suffix in all_suffixes()]
    return {file for file in files if file.is_file()}


def files_of(name: str) -> set[Path]:
    """Files that run when a name is imported: of all packages above it and its own; of ``a.*`` all modules of ``a``."""
    parts = name.split(".")
    if parts[-1] == "*":
        return files_of(".".join(parts[:-1])) | set(Path(*parts[:-1]).glob("*.py"))
    return {file for count in range(len(parts)) for file in files_at(Path(*parts[: count + 1]))}


def files_named(file: Path) -> Iterator[Path]:
    """Files of the folder that the code of a file names: by imports, and as paths that end in ``.py``.

    None where it is no Python code: a compiled module, or an error that is said when the module runs.
    """
    *folders, stem = file.with_name(file.name.split(".")[0]).parts
    package = stem == "__init__"
    try:
        code = parsed(file)
    except (SyntaxError, ValueError):
        return
    for name in imported(code, ".".join(folders if package else [*folders, stem]), package):
        yield from files_of(name)
    for node in ast.walk(code):
        text = getattr(node, "value", None)
        if isinstance(text, str) and text.endswith(".py"):
            yield from (path for path in (Path(text), file.parent / text) if path.is_file())


def own_sources(module: str) -> list[str]:
    """Files of a user's own module and of all that it imports, directly or through others, sorted by name.

    Only files in the folder in which Snakemake runs, and none of this package. The list is empty where the module does
    not lie there.
    """
    files: set[Path] = set()
    new = files_of(module) if files_at(Path(*module.split("."))) else set()
    while new:
        files |= new
        found = {other for file in new for other in files_named(file)}
        new = {file for file in found if PACKAGE not in file.parents} - files
    return sorted(file.as_posix() for file in files)
