"""Search of the built site: Chinese text without a dictionary, English words, and numbers.

Sphinx indexes Chinese by the words that jieba finds, and looks up the whole query as one word: the
browser has no jieba. So a question of several words finds nothing, and from Sphinx 9 on even one
word finds nothing (sphinx#14229). Here both sides, `split` in Python and `splitQuery` in the
browser (`pair_search.js`), cut Chinese into overlapping pairs of characters: "工作流" becomes
"工作" and "作流". A page is found when it has all pairs of the query. The query first loses its
question words, and is cut into words where the browser can (`Intl.Segmenter`), so that no pair
joins two words. A pair that no page has finds nothing. Numbers, such as error codes, get an "n" on
both sides: Sphinx drops numbers from a query.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import snowballstemmer
from sphinx.search import SearchLanguage
from sphinx.search.zh import SearchChinese

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"[\u4e00-\u9fff]+|[^\W\u4e00-\u9fff]+")
_HAN = re.compile(r"[\u4e00-\u9fff]")


def split_words(text: str) -> Iterator[str]:
    """Yield the words of a text; a run of Chinese gives its characters and their pairs."""
    for word in _WORD.findall(text):
        if _HAN.match(word):
            yield from word
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        else:
            yield f"n{word}" if word.isdecimal() else word


class PairSearch(SearchLanguage):
    """Pairs of Chinese characters, stems of English words, and numbers; for the Chinese site."""

    lang = "zh"
    language_name = "Chinese"
    stopwords = SearchChinese.stopwords
    js_splitter_code = Path(__file__).with_name("pair_search.js").read_text("utf-8")
    js_stemmer_code = SearchChinese.js_stemmer_code

    def init(self, options: dict[str, str]) -> None:  # noqa: ARG002 - Sphinx's signature
        """Create the stemmer, the one that the browser has."""
        self._stemmer = snowballstemmer.stemmer("porter")

    def split(self, input: str) -> list[str]:  # noqa: A002 - Sphinx's name
        """Return the words of a text."""
        return list(split_words(input))

    def stem(self, word: str) -> str:
        """Return the stem of an English word; Chinese is left alone."""
        lowered = word.lower()
        return lowered if len(lowered) < 3 else str(self._stemmer.stemWord(lowered))  # noqa: PLR2004

    def word_filter(self, word: str) -> bool:
        """Return whether a word belongs into the index."""
        return word not in self.stopwords


class EnglishPairSearch(PairSearch):
    """The same for the English site, whose examples have some Chinese."""

    lang = "en"
    language_name = "English"
