"""Compare the time of ``import hyperfusion`` with that of ``import sklearn``.

Each import runs in a new process. The limit is the start of the interpreter.
The aim is a ratio of at most 1.3.
"""

import statistics
import subprocess
import sys
import time

RUNS = 15


def seconds(code):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main():
    programs = {
        "nothing": "pass",
        "import sklearn": "import sklearn",
        "import hyperfusion": "import hyperfusion",
        "sklearn, one class": "from sklearn.linear_model import Ridge",
        "ours, one class": "from hyperfusion import HyperFusionRegressor",
    }
    times = {name: [] for name in programs}
    for _ in range(RUNS):
        for name, code in programs.items():
            times[name].append(seconds(code))
    median = {name: statistics.median(values) for name, values in times.items()}
    base = median["nothing"]
    for name, value in median.items():
        print(f"{name:20s} {1000 * value:7.1f} ms (median of {RUNS})")
    ours, theirs = median["import hyperfusion"], median["import sklearn"]
    print(f"import hyperfusion / import sklearn: {ours / theirs:.2f}")
    ratio = (ours - base) / (theirs - base)
    print(f"the same without the interpreter's own start: {ratio:.2f}")


if __name__ == "__main__":
    main()
