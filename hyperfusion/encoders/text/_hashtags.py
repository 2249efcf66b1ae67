"""From a text to its words: normalization, splitting and segmentation of hashtags.

Posts run words together (``architecturelovers``, ``NewYorkCity2023``). Every
reading of a token has a cost, the negative logarithm of its probability under a
unigram model whose only source is the order of the vocabulary: word vectors are
published with the most frequent word first. The cheapest reading wins.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import regex

UNKNOWN = -1
"""Stands for the row of a word without a vector."""

# A word: letters and digits, also joined by "_", "-" or an apostrophe; or an emoji.
_PART = r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*"
_TOKEN = regex.compile(rf"{_PART}(?:[_'-]{_PART})*|\p{{Extended_Pictographic}}")
_URL = regex.compile(r"\b(?:https?://|www\.)\S+", regex.IGNORECASE)
_CONTRACTION = regex.compile(r"(?i)(.+?)(n't|'(?:s|re|ve|ll|m|d))")
_SEPARATORS = regex.compile(
    r"[_'-]+|(?<=[\p{L}\p{M}])(?=\p{N})|(?<=\p{N}\p{M}*)(?=\p{L})"
)
_CASE = regex.compile(r"(?<=[\p{Ll}\p{M}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{M}*\p{Ll})")
# Typographic apostrophes and hyphen, which NFKC leaves as they are.
_TYPOGRAPHIC = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2010": "-"})

# Zipf's law: the word of rank r has the probability 1 / ((r + 1) * log(vocabulary)).
# Beyond the ten thousandth word, frequencies fall with the square of the rank.
_COST_OF_A_WORD = math.log(math.log(400_000))
_RARE = 10_000
# An unknown word of n letters costs as much as this; a segmentation has to be cheaper.
_COST_OF_UNKNOWN = 10.0
_COST_OF_A_LETTER = 1.9
# Parts of a segmentation: short words have to be common ones, since vocabularies are
# full of abbreviations that would fit everywhere.
_MAX_RANK = 200_000
_MAX_RANK_BY_LENGTH = {2: 2_500, 3: 25_000}
_ONE_LETTER_WORDS = ("a", "i")
_MAX_PART = 20
# Tokens that are segmented at all, and that are remembered.
_MIN_TOKEN, _MAX_TOKEN = 6, 64
_MEMORY_SIZE = 2**18


Reading = tuple[float, tuple[int, ...]]
"""What it costs to read a token as some words, and the rows of these."""


def tokenize(text: str) -> list[str]:
    """Return the words of a text as written, after NFKC, without URLs."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHIC)
    if "://" in text or "www." in text:
        text = _URL.sub(" ", text)
    return _TOKEN.findall(text)


def word_cost(rank: int) -> float:
    """Return the cost of the word of this rank (0 is the most frequent one)."""
    tail = max(0.0, math.log((rank + 1) / _RARE))
    return math.log(rank + 1) + tail + _COST_OF_A_WORD


def segment_costs(words: Sequence[str]) -> dict[str, float]:
    """Return the words that segmentations can use, with their costs."""

    def is_part(word: Any, rank: int) -> bool:
        if not isinstance(word, str) or len(word) > _MAX_PART:
            return False
        if len(word) == 1:
            return word in _ONE_LETTER_WORDS
        common = rank < _MAX_RANK_BY_LENGTH.get(len(word), _MAX_RANK)
        return common and word.isalpha() and word == word.lower()

    ranked = enumerate(words[:_MAX_RANK])
    return {word: word_cost(rank) for rank, word in ranked if is_part(word, rank)}


def segment(word: str, costs: Mapping[str, float]) -> tuple[float, list[str]] | None:
    """Return the cost and words of the cheapest cut (Viterbi's algorithm)."""
    n = len(word)
    best = [0.0] + [math.inf] * n
    begin = [0] * (n + 1)
    for start in range(n):
        if best[start] == math.inf:
            continue
        # a word of one letter is an article or a pronoun, which ends nothing
        first = start + 1 if start < n - 1 else n + 1
        for end in range(first, min(n, start + _MAX_PART) + 1):
            cost = costs.get(word[start:end])
            if cost is not None and best[start] + cost < best[end]:
                best[end] = best[start] + cost
                begin[end] = start
    if not n or best[n] == math.inf:
        return None
    parts: list[str] = []
    end = n
    while end:
        parts.append(word[begin[end] : end])
        end = begin[end]
    return best[n], parts[::-1]


class WordFinder:
    """Finds the words of texts in a vocabulary, sorted by falling frequency."""

    def __init__(self, words: Sequence[str], index: Mapping[str, int]):
        self._index = index
        self._costs = segment_costs(words)
        self._rows = lru_cache(_MEMORY_SIZE)(self._find)

    def __call__(self, text: str) -> list[int]:
        """Return the rows of a text's words in order; `UNKNOWN` for unknown words."""
        return list(chain.from_iterable(map(self._rows, tokenize(text))))

    def _find(self, token: str) -> tuple[int, ...]:
        if not token[0].isalnum():  # an emoji is a word where it has a vector
            row = self._index.get(token.lower())
            return () if row is None else (row,)
        # the corpora of published vectors were tokenized this way: "do", "n't"
        contraction = _CONTRACTION.fullmatch(token)
        if contraction and contraction[2].lower() in self._index:
            parts = [contraction[1], contraction[2]]
        else:
            parts = [part for part in _SEPARATORS.split(token) if part]
        if len(parts) > 1:
            joined = _join(self._read_word(part) for part in parts)
            return min([*self._whole(token), joined])[1]
        return self._read_word(token)[1]

    def _whole(self, word: str) -> list[Reading]:
        row = self._index.get(word.lower())
        return [] if row is None else [(word_cost(row), (row,))]

    def _read_word(self, word: str) -> Reading:
        """Return the cheapest reading of a token without separators."""
        readings = self._whole(word)
        cases = _CASE.split(word)  # where a capital begins a word
        if len(cases) > 1:
            readings.append(_join(self._read_word(case) for case in cases))
        elif readings:
            return readings[0]
        else:
            cost = _COST_OF_UNKNOWN + _COST_OF_A_LETTER * len(word)
            readings.append((cost, (UNKNOWN,)))
        if _MIN_TOKEN <= len(word) <= _MAX_TOKEN:
            found = segment(word.lower(), self._costs)
            if found is not None:
                rows = tuple(self._index[part] for part in found[1])
                readings.append((found[0], rows))
        return min(readings)


def _join(readings: Iterable[Reading]) -> Reading:
    costs, rows = zip(*readings, strict=True)
    return sum(costs), tuple(row for part in rows for row in part)
