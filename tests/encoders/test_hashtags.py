"""From texts to words: normalization, splitting, segmentation."""

from __future__ import annotations

import itertools
import math
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperfusion.encoders.text._hashtags import (
    UNKNOWN,
    WordFinder,
    segment,
    segment_costs,
    tokenize,
    word_cost,
)

WORDS = [
    *["the", "of", "a", "to", "in", "i", "for", "you", "is", "it", "'s", "n't", "my"],
    *["do", "new", "love", "day", "york", "city", "page", "home", "nature", "phone"],
    *["dog", "lovers", "shooters", "photo", "architecture", "iphone", "well-known"],
    *["\N{BLACK HEART SUIT}", "\u0928\u092e\u0938\u094d\u0924\u0947"],
]

# What a reader makes of them, by vocabulary of the real GloVe vectors.
TAGS = {
    "skateeverydamnday": "skate every damn day",
    "architecturelovers": "architecture lovers",
    "nature_shooters": "nature shooters",
    "NewYorkCity2023": "new york city 2023",
    "foryoupage": "for you page",
    "newyorkcity": "new york city",
    "homedecor": "home decor",
    "interiordesign": "interior design",
    "christmastree2022": "christmas tree 2022",
    "photooftheday": "photo of the day",
    "throwbackthursday": "throwback thursday",
    "catsofinstagram": "cats of instagram",
    "blacklivesmatter": "black lives matter",
    "makeamericagreatagain": "make america great again",
    "itendswithus": "it ends with us",
    "BeforeAndAfter": "before and after",
    "stayathomemom": "stay at home mom",
    "mentalhealthawareness": "mental health awareness",
    "dayinmylife": "day in my life",
    "beforeandafter": "before and after",
    "mac_and_cheese": "mac and cheese",
    "bestfriendsforever": "best friends forever",
    "ilovecoffee": "i love coffee",
    "street-photography": "street photography",
    "HTMLPage": "html page",
    "iPhone13": "iphone 13",
    "fOrYoUpAgE": "for you page",
    "summervibes2023": "summer vibes 2023",
    "collegefootball": "college football",
    "taylorswift": "taylor swift",
    "nailart": "nail art",
    "homesweethome": "home sweet home",
    "TheBoysSeason4": "the boys season 4",
}
# Known as they are, although they could be cut: "you tube", "the rapist".
WHOLE = ["youtube", "therapist", "skateboard", "e-mail", "mp3", "YouTube", "goals"]
# Words of other languages and made-up ones, full of short English words.
FOREIGN = ["mukbang", "decoden", "pakai", "parati", "jerawatan", "xyzbca", "qwertyuiop"]


@pytest.fixture(scope="module")
def find():
    return finder()


def finder(words=WORDS):
    index = {word: row for row, word in enumerate(words)}
    return WordFinder(words, index)


def read(find, text, words=WORDS):
    return [words[row] if row != UNKNOWN else "?" for row in find(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Nature, always!", ["Nature", "always"]),
        ("#my_dog @well-known it's", ["my_dog", "well-known", "it's"]),
        ("see https://a.b/c?d and www.e.org/f now", ["see", "and", "now"]),
        ("it\N{RIGHT SINGLE QUOTATION MARK}s", ["it's"]),
        ("\N{FULLWIDTH LATIN SMALL LETTER A}\N{LATIN SMALL LIGATURE FI}", ["afi"]),
        ("\N{MATHEMATICAL BOLD SCRIPT SMALL D}ay", ["day"]),
        ("cafe\N{COMBINING ACUTE ACCENT}", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}"]),
        (
            "\u0928\u092e\u0938\u094d\u0924\u0947",
            ["\u0928\u092e\u0938\u094d\u0924\u0947"],
        ),
        (
            "a \N{BLACK HEART SUIT}\N{VARIATION SELECTOR-16}",
            ["a", "\N{BLACK HEART SUIT}"],
        ),
        ("... --- !?", []),
        ("", []),
    ],
)
def test_tokenize(text, words):
    assert tokenize(text) == words


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("architecturelovers", ["architecture", "lovers"]),
        ("ARCHITECTURELOVERS", ["architecture", "lovers"]),
        ("#ILoveMyDog", ["i", "love", "my", "dog"]),
        ("NewYorkCity2023", ["new", "york", "city", "?"]),
        ("nature_shooters", ["nature", "shooters"]),
        ("nature_zzz", ["nature", "?"]),
        ("well-known", ["well-known"]),
        ("iPhone13", ["iphone", "?"]),
        ("newPAGEOf", ["new", "page", "of"]),
        ("don't", ["do", "n't"]),
        ("It's", ["it", "'s"]),
        ("zzzzzzzz", ["?"]),
        ("\N{BLACK HEART SUIT}", ["\N{BLACK HEART SUIT}"]),
        ("\N{PILE OF POO}", []),
    ],
)
def test_reading_of_tokens(find, token, words):
    assert read(find, token) == words


@given(st.text("abi", min_size=1, max_size=8), st.data())
def test_segmentation_is_the_cheapest(word, data):
    parts = st.text("abi", min_size=1, max_size=3)
    costs = data.draw(st.dictionaries(parts, st.floats(0.1, 9), max_size=12))
    best = math.inf
    for n_cuts in range(len(word)):
        for cuts in itertools.combinations(range(1, len(word)), n_cuts):
            cut = [0, *cuts, len(word)]
            pieces = [word[a:b] for a, b in itertools.pairwise(cut)]
            if len(pieces[-1]) > 1 and all(p in costs for p in pieces):
                best = min(best, sum(costs[p] for p in pieces))
    found = segment(word, costs)
    assert (found is None) == (best == math.inf)
    if found is not None:
        assert found[0] == pytest.approx(best)
        assert "".join(found[1]) == word


def test_costs_rise_with_rank_and_short_words_have_to_be_common():
    costs = [word_cost(rank) for rank in (0, 1, 10, 9_999, 10_001, 300_000)]
    assert costs == sorted(costs)
    rare = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}x" for i in range(600)] * 5
    usable = segment_costs(["of", "q", "a", "A", "Of", "x1", *rare, "xy", "longer"])
    assert {"of", "a", "longer"} <= usable.keys()
    assert not {"q", "A", "Of", "x1", "xy"} & usable.keys()


@given(st.text(max_size=60))
@example("\u0130\u0130\u0130stanbul")
@example("\ud800 nature\udfff")
@example("A\u0301a\u0301A'n't_-_'s")
def test_any_text(text):
    find = finder()
    rows = find(text)
    assert all(row == UNKNOWN or 0 <= row < len(WORDS) for row in rows)
    assert rows == find(unicodedata.normalize("NFKC", text))
    assert find(f"nature {text}")[0] == WORDS.index("nature")


@given(st.lists(st.sampled_from(WORDS[:10] + WORDS[12:28])))
def test_known_words_stay_themselves(words):
    assert read(finder(), " ".join(words)) == words


@pytest.mark.parametrize("junk", ["a" * 10**5, "aB" * 10**4, "a1" * 10**4, "'" * 10**5])
def test_absurd_tokens_cost_little(find, junk):
    assert set(find(junk)) <= {UNKNOWN, *range(len(WORDS))}


@pytest.mark.parametrize("tag", TAGS)
def test_real_tags(real_vectors, tag):
    assert spoken(real_vectors, tag) == TAGS[tag]


@pytest.mark.parametrize("tag", WHOLE)
def test_real_words_stay_whole(real_vectors, tag):
    assert spoken(real_vectors, tag) == tag.lower()


@pytest.mark.parametrize("tag", FOREIGN)
def test_made_up_words_stay_unknown(real_vectors, tag):
    assert spoken(real_vectors, tag) == "?"


def spoken(vectors, text):
    return " ".join(read(vectors.find, text, vectors.words))


def test_forgetting_words_changes_nothing(monkeypatch):
    monkeypatch.setattr("hyperfusion.encoders.text._hashtags._MEMORY_SIZE", 3)
    find = finder()
    texts = ["nature lovers", "architecturelovers", "new york", "x" * 100, "don't"]
    assert [find(text) for text in texts * 2] == [finder()(text) for text in texts * 2]
    assert find._rows.cache_info().currsize <= 3
