"""Simple measures of texts: length, tags, emoji, capitals, signs of language."""

# ruff: noqa: RUF001 - letters and marks of many scripts are the subject here

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import regex

from hyperfusion._base import with_parameters
from hyperfusion._sklearn_compat import StrOptions
from hyperfusion.cells._columns import read_cells
from hyperfusion.cells._texts import read_tags, read_text
from hyperfusion.encoders._base import ColumnEncoder, stack_rows

_LINK = regex.compile(r"\b(?:https?://|www\.)\S+", regex.IGNORECASE)
_MENTION = regex.compile(r"(?<![\w@.])@\w[\w.]*")
_TAG = regex.compile(r"(?<![\w&])[#＃](?=\w)")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*")
_LETTER = regex.compile(r"\p{L}")
_CAPITAL = regex.compile(r"\p{Lu}")
_DIGIT = regex.compile(r"\p{Nd}")
_PUNCTUATION = regex.compile(r"\p{P}")
# a whole sequence is one emoji: with skin tone, joined to a family, a flag, a keycap;
# the signs of copyright and trademark are pictographs by name only
_EMOJI = regex.compile(
    r"(?:\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3|(?![©®™])"
    r"\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]*"
    r"(?:\u200D\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]*)*)"
)

SCRIPTS = {
    "latin": r"\p{Latin}",
    "cyrillic": r"\p{Cyrillic}",
    "greek": r"\p{Greek}",
    "arabic": r"\p{Arabic}",
    "hebrew": r"\p{Hebrew}",
    "devanagari": r"\p{Devanagari}",
    "thai": r"\p{Thai}",
    "cjk": r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}]",
    "hangul": r"\p{Hangul}",
}
"""Scripts whose share of the letters is a feature."""

_SCRIPTS = {k: regex.compile(rf"(?V1)[{v}&&\p{{L}}]") for k, v in SCRIPTS.items()}

STOP_WORDS = {
    "english": "the and of to is in it you that was for on are with as this be at "
    "have from or by not but what all we can your my an so",
    "spanish": "el la los las un una de del que y en es por con para no se lo su al "
    "más como pero muy este esta mi yo",
    "portuguese": "o os as um uma de do da dos das que e em no na para com por não se "
    "mais como mas foi ao meu é você",
    "french": "le la les un une des du de et est en que qui dans pour sur pas au avec "
    "ce cette je vous nous il elle plus mon c'est",
    "german": "der die das und ist nicht ein eine zu den dem mit von auf für im auch "
    "es ich sie wir aber wie noch bei nur so",
    "italian": "il lo gli le un una di del della che e è in per con non si sono da "
    "al come più ma questo mi io anche",
    "indonesian": "yang dan di ini itu dengan untuk dari tidak ke pada saya aku kamu "
    "ada akan juga bisa sudah kita lebih atau",
    "turkish": "bir ve bu da de için ile çok ne mi ben sen o gibi daha ama var yok "
    "her kadar",
    "russian": "и в не на я что он с как это по но они мы из у за так же от для "
    "все вы к бы о",
}
"""Some of the most frequent words of languages, whose share is a feature."""

_WORDS = {language: set(words.split()) for language, words in STOP_WORDS.items()}
_LANGUAGES = {
    word: [language for language, known in _WORDS.items() if word in known]
    for word in set().union(*_WORDS.values())
}


@with_parameters
class TextStatistics(ColumnEncoder):
    """Length, tags, emoji, capitals, punctuation and signs of language of texts.

    Parameters
    ----------
    analyzer : {"word", "tags"}, default="word"
        ``"tags"`` reads a text as tags, split at commas, semicolons or bars if it has
        any, otherwise at white space; a leading ``#`` does not count.
    %(on_error)s

    Attributes
    ----------
    %(one_column)s

    Notes
    -----
    A cell is a text or a list of texts (tags, words), which count as joined by spaces.
    The features, in this order:

    - ``characters`` (code points), ``words``, ``mean_word_length``,
      ``unique_word_share`` (different words by words, in lower case);
    - ``tags``: hashtags of a text, items of a list, or all tags where `analyzer` is
      ``"tags"``; ``mentions`` (``@name``) and ``links``, whose content doesn't count
      elsewhere;
    - ``emoji``: a sequence that is drawn as one picture (a family, a flag) is one;
    - ``capitals_share`` of the letters, ``caps_words`` (words of two and more
      characters without a small letter), ``digits``, ``punctuation``,
      ``exclamations``, ``questions``, ``line_breaks``, ``non_ascii_share`` of the
      characters;
    - ``latin_share``, ``cyrillic_share``, ...: share of a script in the letters. The
      script ``cjk`` holds Chinese characters and Japanese kana;
    - ``english_share``, ``spanish_share``, ...: share of a language's most frequent
      words in the words;
    - ``is_missing``. All others are NaN if it is 1.

    A share of nothing is 0. Where words are not separated, a run of letters counts as
    one word. One core reads about 10,000 short texts per second.

    Examples
    --------
    >>> from hyperfusion import TextStatistics
    >>> encoder = TextStatistics().set_output(transform="pandas")
    >>> table = encoder.fit_transform(["WOW! What a day \U0001f600 #sun #sea", None])
    >>> table[["words", "tags", "emoji", "caps_words", "exclamations", "is_missing"]]
       words  tags  emoji  caps_words  exclamations  is_missing
    0    6.0   2.0    1.0         1.0           1.0         0.0
    1    NaN   NaN    NaN         NaN           NaN         1.0
    """

    _parameter_constraints = {"analyzer": [StrOptions({"word", "tags"})]}

    analyzer: str = "word"
    on_error: str = "missing"

    def _transform_cells(self, cells: pd.Series) -> np.ndarray:
        def measure(cell: Any) -> list[float] | None:
            if self.analyzer == "tags":
                tags = read_tags(cell) or []
                return _measure(" ".join(tags), len(tags))
            text = read_text(cell)
            if isinstance(cell, str):
                return _measure(text, None)
            return _measure(text, sum(read_text(item) is not None for item in cell))

        return stack_rows(read_cells(cells, measure, self.on_error), len(_NAMES))

    def _feature_names(self, names: Any = None) -> list[str]:
        return [*_NAMES, "is_missing"]


def _measure(text: str | None, n_tags: int | None) -> list[float] | None:
    """Return the features of a text; count hashtags if `n_tags` is None."""
    if not text:
        return None
    plain, n_links = _LINK.subn(" ", text) if "." in text or ":" in text else (text, 0)
    words = _WORD.findall(plain)
    lower = [word.lower() for word in words]
    n_words, n_letters = len(words), _count(_LETTER, plain)
    ascii_only = text.isascii()
    languages = Counter(
        chain.from_iterable(_LANGUAGES[word] for word in lower if word in _LANGUAGES)
    )
    scripts = {"latin": n_letters}
    if not plain.isascii():
        scripts = {script: _count(sign, plain) for script, sign in _SCRIPTS.items()}
    return [
        len(text),
        n_words,
        _share(sum(map(len, words)), n_words),
        _share(len(set(lower)), n_words),
        _count(_TAG, plain) if n_tags is None else n_tags,
        _count(_MENTION, plain),
        n_links,
        0 if ascii_only else _count(_EMOJI, plain),
        _share(_count(_CAPITAL, plain), n_letters),
        sum(len(word) > 1 for word in words if word.isupper()),
        _count(_DIGIT, plain),
        _count(_PUNCTUATION, plain),
        plain.count("!") + plain.count("！"),
        sum(map(plain.count, "?？؟")),
        len(text.splitlines()) - 1,
        0 if ascii_only else _share(sum(not c.isascii() for c in text), len(text)),
        *(_share(scripts.get(script, 0), n_letters) for script in SCRIPTS),
        *(_share(languages[language], n_words) for language in STOP_WORDS),
    ]


def _count(pattern: Any, text: str) -> int:
    return len(pattern.findall(text))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


_NAMES = (
    *("characters", "words", "mean_word_length", "unique_word_share"),
    *("tags", "mentions", "links", "emoji", "capitals_share", "caps_words"),
    *("digits", "punctuation", "exclamations", "questions", "line_breaks"),
    "non_ascii_share",
    *(f"{script}_share" for script in SCRIPTS),
    *(f"{language}_share" for language in STOP_WORDS),
)
