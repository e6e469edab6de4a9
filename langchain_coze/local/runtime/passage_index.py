"""An index of passages that is searched with BM25."""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_coze.local.extra import MISSING_EXTRA
from langchain_coze.local.runtime.text import (
    extract_index_terms,
    extract_query_terms,
    is_chinese,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_coze.local.wire.recall import RecalledChunk

# Passages are short: that a term occurs matters more than how often, and length matters little.
_K1, _B = 0.6, 0.4
_OTHER_LANGUAGE = 0.9  # the weight of a passage that is not in the language of the question


class PassageIndex:
    """The passages of one moment; it does not change."""

    def __init__(self, passages: Sequence[RecalledChunk]) -> None:
        """Index the passages, at least one.

        Raises:
            ImportError: The search library is missing (extra `local`).
        """
        try:
            import bm25s  # noqa: PLC0415 - it brings numpy, which not every server needs
        except ImportError as error:
            problem = "Searching a knowledge base needs bm25s, which is missing."
            raise ImportError(f"{problem}\n{MISSING_EXTRA}") from error
        self._passages = passages
        terms = [extract_index_terms(f"{p.document_name}\n{p.slice}") for p in passages]
        self._is_chinese = [is_chinese(passage.slice) for passage in passages]
        self._frequency = Counter(term for passage in terms for term in set(passage))
        self._bm25 = bm25s.BM25(method="lucene", k1=_K1, b=_B)
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets DEBUG itself
        self._bm25.index(terms, show_progress=False)

    def search(self, query: str, limit: int, min_score: float) -> list[RecalledChunk]:
        """Return at most `limit` passages with at least this score, best first."""
        terms = extract_query_terms(query)
        known_terms = [term for term in terms if term in self._frequency]
        if not known_terms:
            return []
        # A term of the question that is in no passage lowers every score.
        max_score = sum(map(self._compute_idf, terms))
        scores = self._bm25.get_scores(known_terms)
        asked = is_chinese(query)
        weights = [1 if told == asked else _OTHER_LANGUAGE for told in self._is_chinese]
        ranked = sorted(
            ((float(s) / max_score * weights[i], -i) for i, s in enumerate(scores) if s > 0),
            reverse=True,
        )
        return [
            replace(self._passages[-position], score=round(min(score, 1.0), 4))
            for score, position in ranked[:limit]
            if score >= min_score
        ]

    def _compute_idf(self, term: str) -> float:
        """Return Lucene's inverse document frequency of a term."""
        count, total = self._frequency[term], len(self._passages)
        return math.log(1 + (total - count + 0.5) / (count + 0.5))
