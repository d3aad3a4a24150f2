# Syntax of config.yaml, with the line: Snakemake's own message has none.
from pathlib import Path

import yaml

if Path("config.yaml").exists():
    try:
        yaml.safe_load(Path("config.yaml").read_text())
    except yaml.YAMLError as error:
        raise SystemExit(
            f"config.yaml, line {error.problem_mark.line + 1}: {error.problem}"
        ) from None
