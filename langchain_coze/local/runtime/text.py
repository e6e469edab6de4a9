"""Words, sentences and token counts of English and Chinese text, without a dictionary."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"

_CJK_CHARACTER = re.compile(f"[{CJK}]")
_RUN = re.compile(rf"(?P<cjk>[{CJK}]+)|(?:(?![{CJK}])[^\W_])+")
_DELTA = re.compile(rf"[{CJK}]{{1,2}}|\s*[^\s{CJK}]{{1,12}}|\s+")
_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?]+[”’」』）)]*|\.(?=\s|$)|\n|$)")
_LATIN_WORD = re.compile(rf"(?:(?![{CJK}])[^\W\d_])+")

# Words that form a question but do not describe its subject.
_ENGLISH_STOP_WORD_LIST = (
    "a about am an and any are as at be been but by can could did do does for from had has have "
    "how i if in into is it its me my no not of on or our please shall should so some tell than "
    "that the their them then there these they this those to was we were what when where which "
    "who whom whose why will with would you your"
)
_ENGLISH_STOP_WORDS = frozenset(_ENGLISH_STOP_WORD_LIST.split())
_CHINESE_STOP_WORDS = re.compile(
    "为什么|是什么|什么|怎么样|怎么|怎样|如何|哪些|哪个|哪里|请问|多少|是否|能否|可以|介绍一下|[的了吗呢吧啊嘛么]"
)
_SUFFIXES = ("ing", "ed", "es", "s")
_MIN_STEM_LENGTH = 4


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters, and at least as many as Latin words."""
    characters = len(_CJK_CHARACTER.findall(text))
    return characters > 0 and characters >= len(_LATIN_WORD.findall(text))


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM_LENGTH:
            if not word.endswith("ss"):
                word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > _MIN_STEM_LENGTH and word.endswith("e") else word


def _split_runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield words and runs of Chinese text, each with whether it is Chinese."""
    for match in _RUN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield match[0], match["cjk"] is not None


def _pair(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def extract_index_terms(text: str) -> list[str]:
    """Return the index terms of a passage, with repetitions.

    Latin words are lower-cased and reduced to a simple stem. In Chinese text, single characters and
    pairs of adjacent characters are terms.
    """
    terms: list[str] = []
    for run, is_cjk in _split_runs(text):
        terms += [*run, *_pair(run)] if is_cjk else [_stem(run)]
    return terms


def extract_query_terms(text: str) -> list[str]:
    """Return the distinct terms of a question, without question words and filler words.

    In Chinese text, the terms are pairs of adjacent characters, and isolated characters.
    """
    terms: list[str] = []
    for run, is_cjk in _split_runs(_CHINESE_STOP_WORDS.sub(" ", text)):
        if is_cjk:
            terms += _pair(run) or [run]
        elif run not in _ENGLISH_STOP_WORDS:
            terms.append(_stem(run))
    return list(dict.fromkeys(terms))


def split_sentences(text: str) -> list[str]:
    """Split a passage into sentences, in order and without surrounding white space."""
    return [sentence for part in _SENTENCE.findall(text) if (sentence := part.strip())]


def split_deltas(text: str) -> list[str]:
    """Split a text like the stream of a model: into words, or one or two Chinese characters."""
    return _DELTA.findall(text)


def count_tokens(text: str) -> int:
    """Estimate a token count: one per Chinese character, one per four other characters."""
    chinese = len(_CJK_CHARACTER.findall(text))
    return chinese + -(-(len(text) - chinese) // 4)
