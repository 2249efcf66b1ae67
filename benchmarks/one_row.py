"""One post without pictures: how long a fitted model takes to predict it.

Run: python benchmarks/one_row.py [--members fast] [--posts 1000] [--calls 100]

Prints the median of calls of ``model.predict(row)``, of its steps, and of each encoder,
in CPU milliseconds (which depend less on other work on the machine). The aim is 50 ms
in all. Nearly all of it is overhead of tables with one row.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from hyperfusion import make_hyperfusion, make_posts


def milliseconds(work: Callable[[Any], Any], row: Any, n_calls: int) -> float:
    work(row)
    seconds = []
    for _ in range(n_calls):
        start = time.process_time()
        work(row)
        seconds.append(time.process_time() - start)
    return float(1000 * np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", default="fast")
    parser.add_argument("--posts", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    posts = make_posts(options.posts, random_state=0)
    roles = {role: column for role, column in posts.roles.items() if role != "image"}
    model = make_hyperfusion(
        **roles, text_encoder=False, members=options.members, cv=2, random_state=0
    )
    model.set_params(predict__refit="full").fit(posts.data, posts.target)
    encode, relate, reduce, predict = (step for _, step in model.steps)
    row = posts.data.iloc[:1]
    encoded = encode.transform(row)
    related = relate.transform(encoded)
    table = reduce.transform(related)
    whole = milliseconds(model.predict, row, options.calls)
    print(f"{table.shape[1]} features, {options.members}: {whole:.1f} ms, of which")
    for name, work, given in (
        ("encode", encode.transform, row),
        ("relate", relate.transform, encoded),
        ("reduce", reduce.transform, related),
        ("predict", predict.predict, table),
    ):
        print(f"  {name:8}{milliseconds(work, given, options.calls):6.1f}")
    for part in encode.components_:
        spent = milliseconds(part.transform, row, options.calls)
        print(f"    {part.block}: {type(part.encoder).__name__:24}{spent:6.1f}")
    for (name, _), member in zip(predict.members_, predict.estimators_[0], strict=True):
        print(f"    {name:30}{milliseconds(member.predict, table, options.calls):6.1f}")


if __name__ == "__main__":
    main()
