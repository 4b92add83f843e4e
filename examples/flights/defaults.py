"""How often evidently's default preset would call a day or a month drift: python3 defaults.py (pip install evidently 'pandas<3').

The days of `bootstrap.rs` are January's own, drawn with replacement, so each of them is judged once, and a year counts
the days it draws.
"""

import random
import statistics

import pandas
from evidently import Dataset, DataDefinition, Report
from evidently.presets import DataDriftPreset

TEXTS = ["carrier", "origin", "dest"]
NUMBERS = ["sched_dep_time", "dep_delay", "distance", "air_time"]

year = pandas.read_csv("flights.csv.gz")
january = year[year.month == 1]
about = DataDefinition(numerical_columns=NUMBERS, categorical_columns=TEXTS)


def drifted(rows):
    """The columns that drift, each by the default test for so many rows."""
    data = lambda part: Dataset.from_pandas(part[NUMBERS + TEXTS], data_definition=about)
    metrics = Report([DataDriftPreset()]).run(data(rows), data(january)).dict()["metrics"]
    found = {}
    for metric in metrics:
        config = metric["config"]
        if not config["type"].endswith("ValueDrift"):
            continue
        distance = "p_value" not in config["method"]
        hit = metric["value"] >= config["threshold"] if distance else metric["value"] < config["threshold"]
        found[config["column"]] = (hit, config["method"], float(metric["value"]))
    return found


of_day = [drifted(rows) for _, rows in january.groupby("day")]
print("methods for a day:", {name: it[1] for name, it in of_day[0].items()})
several = [sum(hit for hit, *_ in day.values()) for day in of_day]
print("columns that drift, by day of January:", several)
for name in NUMBERS + TEXTS:
    print(f"  {name}: {sum(day[name][0] for day in of_day)} of 31 days")
for what, least in [("any column", 1), ("half of the columns", 4)]:
    dice = random.Random(1)
    years = [sum(several[dice.randrange(31)] >= least for _ in range(365)) for _ in range(20)]
    print(f"{what}: {sum(s >= least for s in several)} of 31 days; a year {statistics.mean(years):.0f} of 365 days")

print("month: columns that drift, and the largest distances")
for month, rows in year[year.month > 1].groupby("month"):
    found = drifted(rows)
    hits = [name for name, it in found.items() if it[0]]
    most = sorted(found.items(), key=lambda it: -it[1][2])[:3]
    print(month, hits, [(name, it[1], round(it[2], 3)) for name, it in most])
of_year = [drifted(rows) for _, rows in year.groupby(["month", "day"])]
counts = [sum(hit for hit, *_ in day.values()) for day in of_year]
print("2013: any column", sum(c >= 1 for c in counts), "half", sum(c >= 4 for c in counts), "of 365 days")
