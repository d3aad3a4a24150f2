"""The data of an atlas as the browser reads them."""

import json
import re
from pathlib import Path
from typing import Any


def script(path: Path) -> tuple[str, Any]:
    """Key and data of a script file."""
    content = re.fullmatch(r"atlas\.register\((.*)\);\n", path.read_text(encoding="utf-8"))
    key, data = json.loads(f"[{content[1]}]")
    return key, data


def data_of(page: Path, layer: str, name: str = "_layer") -> Any:
    """Data of a layer, or of a net or a pair in it."""
    key, data = script(page.parent / f"layers/{layer}/{name}.js")
    assert key == (layer if name == "_layer" else f"{layer}/{name}")
    return data
