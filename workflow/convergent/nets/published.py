"""Weights that torchvision publishes: their names, addresses and files on this machine, without loading torchvision."""

import ast
import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..tracked import file_digest

TORCHVISION = "torchvision:"


@cache
def sources() -> dict[str, str]:
    """Code of torchvision's models, by file."""
    package = find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    files = [file for folder in folders or [] for file in Path(folder, "models").glob("*.py")]
    return {str(file): file.read_text("utf-8") for file in files}


def models() -> list[str]:
    """Names of torchvision's models, read from its code: to import it takes seconds."""
    function = re.compile(r"^@register_model\(\)\n(?:@.*\n| .*\n|\)\n)*?def (\w+)", re.M)
    return sorted(name for text in sources().values() for name in function.findall(text))


def members(kind: ast.ClassDef) -> dict[str, str]:
    """Address of each entry of a class of weights. An entry may be another name of one before it."""
    found: dict[str, str] = {}
    for node in kind.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if isinstance(value, ast.Name):
                found[name] = found[value.id]
            elif isinstance(value, ast.Call):
                found[name] = next(ast.literal_eval(each.value) for each in value.keywords if each.arg == "url")
    return found


@cache
def entries(model: str) -> dict[str, str]:
    """Address of each entry of weights of one of torchvision's models, by its name; empty for another model.

    >>> sorted(entries("resnet50"))
    ['DEFAULT', 'IMAGENET1K_V1', 'IMAGENET1K_V2']
    """
    for text in sources().values():
        if found := re.search(rf"^def {model}\([^)]*?weights: Optional\[(\w+)\]", text, re.M):
            classes = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
            return next(members(node) for node in classes if node.name == found[1])
    return {}


def of_architecture(architecture: str) -> dict[str, str]:
    """``entries`` of an architecture as a configuration names it; empty where it is not torchvision's."""
    return entries(architecture.removeprefix(TORCHVISION)) if architecture.startswith(TORCHVISION) else {}


def file_of(address: str) -> Path:
    """Where torch keeps a file that it has downloaded, as ``torch.hub`` says."""
    cache_folder = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache_folder, "torch")))
    return Path(home, "hub/checkpoints", address.rsplit("/", 1)[-1])


def beginning(file: str) -> str:
    """Beginning of a file's sha256, which torch puts into its name; empty where there is none.

    >>> beginning("resnet18-f37072fd.pth")
    'f37072fd'
    """
    found = re.search(r"-([0-9a-f]+)\.", file)
    return found[1] if found else ""


def digest(architecture: str, weights: str) -> str:
    """What a net with weights is tracked by: the sha256 of its file.

    Of an entry of torchvision's it is the beginning that the file's name holds, so that a download changes nothing.
    """
    if not (address := of_architecture(architecture).get(weights)):
        return file_digest(weights)
    file = file_of(address)
    known = beginning(file.name) or address
    return file_digest(file)[: len(known)] if file.is_file() else known
