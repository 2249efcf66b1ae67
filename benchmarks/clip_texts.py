"""ClipTextEncoder beside a plain loop over open_clip's `encode_text`.

Both use ViT-B-32 with the same random weights (the time does not depend on them). The
texts are those of smp_video where HYPERFUSION_DATA names the folder of real posts,
otherwise made-up words. The limit is what leaving out the padding can gain.

    python benchmarks/clip_texts.py [number of texts, 512]
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import open_clip
import torch
from clip_common import MODEL, best, describe_machine, plain_network

from hyperfusion.encoders import ClipTextEncoder

BATCH = 64
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def read_texts(n):
    rng = np.random.RandomState(0)
    folder = os.environ.get("HYPERFUSION_DATA")
    if folder is None:
        words = [f"{a}{b}" for a in ("sun", "sea", "red") for b in ("set", "side", "s")]
        return [" ".join(rng.choice(words, rng.randint(3, 60))) for _ in range(n)]
    lines = []
    for path in sorted(Path(folder, "smp_video", "train").glob("*posts*")):
        lines += path.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["post_content"] for line in lines]
    texts = [text for text in texts if text.strip()]
    return [texts[i] for i in rng.permutation(len(texts))[:n]]


def plain_loop(network, tokenizer, texts):
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            tokens = tokenizer(texts[start : start + BATCH]).to(DEVICE)
            parts.append(network.encode_text(tokens, normalize=True).cpu().numpy())
    return np.concatenate(parts)


def compare(name, texts, network):
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    encoder = ClipTextEncoder(**MODEL, device=DEVICE, precision="fp32").fit(texts)
    some = texts[:100]
    error = np.abs(encoder.transform(some) - plain_loop(network, tokenizer, some)).max()
    plain, ours = best(
        lambda: plain_loop(network, tokenizer, texts), lambda: encoder.transform(texts)
    )
    tokens = np.mean([min(77, len(tokenizer.encode(t)) + 2) for t in texts])
    n = len(texts)
    print(
        f"{name}: {n} texts of {tokens:.0f} tokens: {n / plain:.0f}/s plain, "
        f"{n / ours:.0f}/s ours, ratio {plain / ours:.2f} (without padding at most "
        f"{77 / tokens:.2f}), largest difference {error:.0e}"
    )


def main():
    print(describe_machine())
    texts = read_texts(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
    network = plain_network(DEVICE)
    compare("as they are", texts, network)
    words = [text.replace(",", " ").split() for text in texts]
    compare("at most 8 words", [" ".join(w[:8]) for w in words], network)


if __name__ == "__main__":
    main()
