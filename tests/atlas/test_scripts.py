"""Data as script files."""

from pathlib import Path

import pytest

from tests.atlas.reading import script
from workflow.convergent.atlas import scripts


def test_what_is_written_is_one_call_that_holds_the_data(tmp_path: Path) -> None:
    data = {"name": "</script><!-- \u2028 é", "cells": [1.5, None, True]}
    scripts.write(tmp_path / "a/b.js", "conv1/net0", data)
    text = (tmp_path / "a/b.js").read_text(encoding="utf-8")
    assert not set("<\u2028") & set(text)
    assert script(tmp_path / "a/b.js") == ("conv1/net0", data)


def test_a_number_that_is_not_finite_is_no_data() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        scripts.encoded([float("nan")])
