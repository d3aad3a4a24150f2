"""Which files of the package a stage's result depends on, read from its imports."""

import ast
from collections.abc import Collection
from functools import cache
from pathlib import Path

PACKAGE = Path("workflow/convergent")


def path_of(module: str) -> Path:
    """File of a module below the place where Snakemake runs.

    >>> path_of("moments.merge").as_posix()
    'workflow/convergent/moments/merge.py'
    """
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports by ``from . import a`` or ``from ..b import c``, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = [*module.split(".")[: -node.level], *(node.module.split(".") if node.module else [])]
            modules = {".".join([*folder, alias.name]) for alias in node.names}
            # what is imported from a folder is a module, and from a module a name in it
            names |= {name if path_of(name).exists() else ".".join(folder) for name in modules}
    return frozenset(names)


def sources(module: str, without: Collection[str] = ()) -> list[str]:
    """Files of a module and of all that it imports, directly or not, in order of their names.

    ``without``: modules that the result does not depend on. What only these import is left out too.
    Raises FileNotFoundError where there is no such module.
    """
    needed: set[str] = set()
    new = {module}
    while new:
        needed |= new
        new = {name for known in new for name in imports(known)} - needed - set(without)
    return sorted(path_of(name).as_posix() for name in needed)
