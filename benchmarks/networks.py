"""Compare the networks with a plain scikit-learn pipeline, on posts split by time.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/networks.py [--seeds 3]

Prints, for each set, Spearman's correlation (higher is better) and the mean absolute
error (lower is better) on later posts, their spread over seeds, and seconds per fit on
one thread. All models get the same feature table. If skorch is installed, ``--skorch``
compares its loop with this package's on the same network. The limit of both is the
arithmetic of the layers, about 0.2 s here.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from real_posts import Posts, real_posts
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from hyperfusion import (
    ClipHierarchicalRegressor,
    CoAttentionRegressor,
    NumericTable,
    TabNetHuberRegressor,
    make_hyperfusion,
    spearman_score,
)


def sides() -> Iterator[tuple[str, Callable[[int], Any]]]:
    yield "MLPRegressor", lambda seed: plain_network(seed, early_stopping=True)
    yield (
        "MLPRegressor, alpha=10",
        lambda seed: plain_network(
            seed, alpha=10.0, max_iter=40, hidden_layer_sizes=(128, 64)
        ),
    )
    for member in (
        TabNetHuberRegressor,
        CoAttentionRegressor,
        ClipHierarchicalRegressor,
    ):
        yield member.__name__, lambda seed, member=member: member(random_state=seed)


def plain_network(seed: int, **params: Any) -> Any:
    """Build what one would write with scikit-learn alone."""
    return make_pipeline(
        NumericTable(impute=True, random_state=seed),
        QuantileTransformer(output_distribution="normal"),
        TransformedTargetRegressor(
            MLPRegressor(random_state=seed, **params), transformer=StandardScaler()
        ),
    )


def compare(posts: Posts, seeds: int) -> None:
    X, y, later, truth = posts.parts()
    features = make_hyperfusion(**posts.arguments, random_state=0)[:-1]
    train, test = features.fit_transform(X, y), features.transform(later)
    print(f"{posts.name}: {len(train)} + {len(test)} posts, {train.shape[1]} features")
    for label, make in sides():
        rows = []
        for seed in range(seeds):
            started = time.process_time()
            model = make(seed).fit(train, y)
            seconds = time.process_time() - started
            predicted = model.predict(test)
            rows.append(
                (
                    spearman_score(truth, predicted),
                    mean_absolute_error(truth, predicted),
                    seconds,
                )
            )
        src, mae, seconds = np.mean(rows, axis=0)
        spread = np.std(rows, axis=0)
        print(
            f"  {label:28} SRC {src:.4f} +- {spread[0]:.4f}  MAE {mae:.4f} +- "
            f"{spread[1]:.4f}  {seconds:5.1f} s",
            flush=True,
        )


def time_loops(n: int = 3200, p: int = 200, epochs: int = 30) -> None:
    import torch
    from skorch import NeuralNetRegressor
    from skorch.dataset import ValidSplit
    from torch import nn

    from hyperfusion.regressors.networks import _training

    torch.set_num_threads(1)
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n, p)).astype(np.float32)
    y = X[:, 0].copy()

    def layers() -> nn.Module:
        parts = [nn.Linear(p, 128), nn.SiLU(), nn.Dropout(0.2)]
        parts += [nn.Linear(128, 128), nn.SiLU(), nn.Dropout(0.2), nn.Linear(128, 1)]
        return nn.Sequential(*parts)

    class Ours(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers()

        def forward(self, numbers, codes):
            return self.layers(numbers).squeeze(1), 0.0

    def ours() -> None:
        held = np.arange(n) < n // 10
        codes, weight = np.zeros((n, 0), dtype=np.int64), np.ones(n, np.float32)

        def rows(kept):
            parts = (part[kept] for part in (X, codes, y, weight))
            return torch.utils.data.TensorDataset(*map(torch.from_numpy, parts))

        member = CoAttentionRegressor(max_iter=epochs, n_iter_no_change=epochs)
        parts = rows(~held), rows(held)
        _training.train(Ours(), *parts, member, 128, max_epochs=epochs, seed=0)

    def skorch() -> None:
        NeuralNetRegressor(
            layers(),
            max_epochs=epochs,
            optimizer=torch.optim.AdamW,
            batch_size=128,
            iterator_train__shuffle=True,
            train_split=ValidSplit(10),
            verbose=0,
        ).fit(X, y[:, np.newaxis])

    for loop in (ours, skorch, ours, skorch):  # the first round warms up
        started = time.process_time()
        loop()
        print(f"  {loop.__name__:8} {time.process_time() - started:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--skorch", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # MLPRegressor's about its number of epochs
    if arguments.skorch:
        print("One loop or skorch's, 3,200 rows x 200 features, 30 epochs")
        time_loops()
        return
    for posts in real_posts():
        compare(posts, arguments.seeds)


if __name__ == "__main__":
    main()
