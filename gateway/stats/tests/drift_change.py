"""Asks river what `drift_change.txt` records: python3 drift_change.py > drift_change.txt.

Ranks from 0 to 1 in hundredths, whose mean moves up, back and slowly down; then for each detector its settings
and after how many values it found a change (ADWIN with its width then).
"""

import random

import river
from river.drift import ADWIN, PageHinkley

random.seed(11)
ranks = []
for i in range(12_000):
    shift = 0.0 if i < 4000 else 0.15 if i < 7000 else 0.0 if i < 9000 else -0.2 * (i - 9000) / 3000
    ranks.append(round(min(max(random.random() + shift, 0.0), 1.0), 2))
print(f"# river {river.__version__}")
print("ranks", " ".join(str(round(100 * x)) for x in ranks))

for delta in [0.002, 0.05, 0.3]:
    adwin, found = ADWIN(delta=delta, clock=32, max_buckets=5, min_window_length=5, grace_period=10), []
    for i, x in enumerate(ranks):
        adwin.update(x)
        if adwin.drift_detected:
            found += [i + 1, int(adwin.width)]
    print("adwin", delta, ";", *found)

for slack, threshold in [(0.05, 8.0), (0.05, 4.0), (0.02, 20.0)]:
    page, found = PageHinkley(min_instances=30, delta=slack, threshold=threshold, alpha=1.0, mode="both"), []
    for i, x in enumerate(ranks):
        page.update(x)
        if page.drift_detected:
            found.append(i + 1)
    print("page_hinkley", slack, threshold, ";", *found)
