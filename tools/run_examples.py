"""Run the examples, each in a separate process, and check what they print.

Arguments name examples by a part of their path; without any, all run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples"
PRINTED = {
    "1_start/plot_1_quick_start.py": r"rank correlation on later posts: 0\.[3-9]",
    "1_start/plot_2_own_table.py": r"error of the model: +\d+ euros",
    "1_start/plot_3_own_embeddings.py": r"with the vectors: +0\.[3-9]",
    "1_start/plot_4_text_only.py": r"rank correlation: 0\.[89]",
    "1_start/plot_5_predict_and_save.py": r"the same predictions: True",
    "2_build/plot_1_grid_search.py": r"rank correlation on later posts: 0\.[3-9]",
    "2_build/plot_2_house_prices.py": r"error, with photos: [12]\d\.\d thousand",
    "2_build/plot_3_vectors.py": r"both +rank correlation 0\.[6-9]",
    "2_build/plot_4_smp_challenge.py": r"rank correlation: 0\.[3-9]",
    "3_judge/plot_1_time_split.py": r"time +SRC 0\.[2-9]",
    "3_judge/plot_2_intervals_and_drift.py": r"more photos than before: AUC 0\.[89]",
    "3_judge/plot_3_ablation.py": r"without metadata",
    "3_judge/plot_4_what_if.py": r"(?s)not distinguishable.*(better|worse)",
    "3_judge/plot_5_report.py": r"report\.html: \d+ kB",
}
"""What each example has to print, as a pattern."""


def main() -> None:
    """Run the examples that the arguments name."""
    wanted = sys.argv[1:]
    paths = sorted(FOLDER.glob("*/plot_*.py"))
    names = [path.relative_to(FOLDER).as_posix() for path in paths]
    wrong = sorted(set(names) ^ set(PRINTED))
    assert not wrong, f"examples without a pattern, or patterns without one: {wrong}"
    failed = []
    for name in names:
        if wanted and not any(part in name for part in wanted):
            continue
        start = time.perf_counter()
        run = subprocess.run(
            [sys.executable, str(FOLDER / name)],
            capture_output=True,
            text=True,
            env=os.environ | {"MPLBACKEND": "Agg"},
        )
        good = run.returncode == 0 and re.search(PRINTED[name], run.stdout)
        verdict = "ok" if good else "FAILED"
        print(f"{name}: {verdict}, {time.perf_counter() - start:.0f} s", flush=True)
        if not good:
            failed.append(name)
            print(run.stdout[-3000:], run.stderr[-3000:], sep="\n")
    sys.exit(f"{len(failed)} example(s) failed" if failed else 0)


if __name__ == "__main__":
    main()
