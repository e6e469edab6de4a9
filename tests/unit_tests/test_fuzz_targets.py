"""The fuzz targets hold for their corpus: recordings, and inputs that once broke a promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus").iterdir())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_no_input_of_the_corpus_breaks_a_promise(path: Path, target: str) -> None:
    TARGETS[target](path.read_bytes())
