"""Compare TemporalEncoder with the same calendar in UTC by pandas alone.

Both get 500,000 times over a year in three forms; the encoder also gets a time zone
for each, and checks every cell. The limit is the parsing and the calendar, which pandas
does in compiled code. Times are CPU seconds of one thread.
"""

import time

import numpy as np
import pandas as pd

from hyperfusion import TemporalEncoder

N_POSTS, RUNS = 500_000, 3
ZONES = ["-05:00", "Europe/Berlin", "America/New_York", "+0530", None]


def best(work):
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def calendar(moments):
    """Return the features of clock and calendar, without zones and checks."""
    parts = moments.dt
    hour, day, week_day = parts.hour, parts.day_of_year, parts.day_of_week
    shares = [hour / 24, week_day / 7, day / 365]
    cycles = [f(2 * np.pi * share) for share in shares for f in (np.sin, np.cos)]
    week = parts.isocalendar().week
    numbers = [hour, week_day, week_day * 24 + hour, parts.month, week, day, *cycles]
    return np.column_stack(numbers).astype(np.float32)


def main():
    rng = np.random.RandomState(0)
    seconds = pd.Series(rng.randint(1_425_168_000, 1_456_704_000, N_POSTS))
    moments = pd.to_datetime(seconds, unit="s")
    texts = moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    zones = rng.choice(np.array(ZONES, dtype=object), N_POSTS)
    parsers = {
        "whole seconds": (seconds, lambda: pd.to_datetime(seconds, unit="s")),
        "datetimes": (moments, lambda: pd.to_datetime(moments, utc=True)),
        "ISO 8601 texts": (texts, lambda: pd.to_datetime(texts, format="ISO8601")),
    }
    for form, (column, parse) in parsers.items():
        table = pd.DataFrame({"time": column, "zone": zones})
        encoder = TemporalEncoder(timezone="zone").fit(table)
        ours = best(lambda encoder=encoder, table=table: encoder.transform(table))
        limit = best(lambda parse=parse: calendar(parse()))
        print(
            f"{form}: {ours:.2f} s for {N_POSTS:,} posts, pandas alone {limit:.3f} s "
            f"(ratio {ours / limit:.1f})"
        )


if __name__ == "__main__":
    main()
