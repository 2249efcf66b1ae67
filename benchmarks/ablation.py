"""What the parts of a model contribute, and what profile counts are worth.

Run: HYPERFUSION_DATA=<folder of real posts> python benchmarks/ablation.py

On the SMP Challenge's videos with a small ensemble: `ablate` on a split by time, then
`evaluate` on random, user and time splits with all columns and without those that
were read after the posts (``strict=True``). Prints SRC (higher is better), MAE (less is
better) and the intervals of the changes.
"""

from __future__ import annotations

import warnings
from typing import Any

from real_posts import data_folder
from small_members import ridge, trees

from hyperfusion import ablate, evaluate, make_hyperfusion
from hyperfusion.datasets import load_smp_video


def model_of(roles: dict[str, Any]) -> Any:
    members = [("trees", trees(100)), ("ridge", ridge())]
    return make_hyperfusion(
        **roles, text_encoder=False, members=members, cv=3, random_state=0
    )


def main() -> None:
    warnings.filterwarnings("ignore")
    folder = data_folder() / "smp_video"
    every, strict = load_smp_video(folder), load_smp_video(folder, strict=True)
    table = ablate(model_of(every.roles), every.data, every.target, random_state=0)
    print(table.round(3).to_string(), flush=True)
    models = {"all": model_of(every.roles), "strict": model_of(strict.roles)}
    result = evaluate(models, every.data, every.target, random_state=0)
    for scores in (result.scores, result.differences):
        print(scores.query("users == 'all' and metric == 'src'").round(3).to_string())


if __name__ == "__main__":
    main()
