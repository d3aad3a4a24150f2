"""Which files of the package a stage's result depends on, read from its imports.

The rules track these files, so that an edit of a module reruns the stages that import it and no others. Only
relative imports are followed; a test holds that the package has no absolute imports of itself.
"""

import ast
from collections.abc import Collection
from functools import cache
from pathlib import Path

PACKAGE = Path("workflow/convergent")


def path_of(module: str) -> Path:
    """File of a module, relative to the folder in which Snakemake runs.

    >>> path_of("moments.merge").as_posix()
    'workflow/convergent/moments/merge.py'
    """
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


@cache
def parsed(file: str) -> ast.Module:
    """Syntax tree of a file, which is read once."""
    return ast.parse(Path(file).read_bytes())


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports by ``from . import a`` or ``from ..b import c``, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(parsed(path_of(module).as_posix())):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = [*module.split(".")[: -node.level], *(node.module.split(".") if node.module else [])]
            modules = {".".join([*folder, alias.name]) for alias in node.names}
            # an import from a folder names a module, an import from a module names something in it
            names |= {name if path_of(name).exists() else ".".join(folder) for name in modules}
    return frozenset(names)


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
