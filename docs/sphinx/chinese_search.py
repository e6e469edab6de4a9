"""Search of the built site: Chinese text without a dictionary, English words, and numbers.

Sphinx indexes Chinese by the words that jieba finds, and looks up the whole query as one word: the
browser has no jieba. So a question of several words finds nothing, and from Sphinx 9 on even one
word finds nothing (sphinx#14229). Here both sides, `split` in Python and `splitQuery` in the
browser, cut Chinese into overlapping pairs of characters: "工作流" becomes "工作" and "作流". A
page is found when it has all pairs of the query. The query first loses its question words, and is
cut into words where the browser can (`Intl.Segmenter`), so that no pair joins two words. Pairs that
no page has are left out. Numbers, such as error codes, get an "n" on both sides: Sphinx drops
numbers from a query.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import snowballstemmer
from sphinx.search import SearchLanguage
from sphinx.search.zh import SearchChinese

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"[\u4e00-\u9fff]+|[^\W\u4e00-\u9fff]+")
_HAN = re.compile(r"[\u4e00-\u9fff]")

_SPLIT_QUERY = r"""
var splitQuery = (query) => {
  const terms = Search._index.terms;
  const asking = /为什么|怎么样?|怎样|如何|什么|哪些|哪个|是否|能否|可以|[的了吗呢]/g;
  const words = /[\u4e00-\u9fff]+|((?![\u4e00-\u9fff])[\p{Letter}\p{Number}_])+/gu;
  const segmenter = window.Intl?.Segmenter && new Intl.Segmenter("zh", { granularity: "word" });
  const segment = (text) =>
    segmenter ? [...segmenter.segment(text)].map((part) => part.segment.trim()) : text.split(" ");
  return (query.match(words) || []).flatMap((word) => {
    if (/^[0-9]+$/.test(word)) return ["n" + word];
    if (!/[\u4e00-\u9fff]/.test(word)) return [word];
    const parts = segment(word.replace(asking, " ")).filter((part) => part);
    const pairs = parts.flatMap((part) =>
      part.length > 1 ? [...part].slice(1).map((next, at) => part[at] + next) : [part]);
    const known = pairs.filter((pair) => terms.hasOwnProperty(pair));
    return known.length ? known : pairs;
  });
};
"""


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
    js_splitter_code = _SPLIT_QUERY
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
