"""What scipy says of a year of flights against its January: python3 flights.py > flights.jsonl.

Nothing here calls or copies Weir; the formulas are those that gateway/stats/src/drift documents. X2, G2,
tails, Jensen-Shannon, KL, Wasserstein and Kolmogorov are scipy's, eigenvalues numpy's.

A line is a feature of the profile, a calendar month, or a window of 30 days or of one; windows begin at
multiples of their length since 1970. Days have only what decides.
"""

import csv
import datetime
import gzip
import json
import math
import pathlib
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import scipy
from scipy import special, stats
from scipy.spatial.distance import jensenshannon

DATA = pathlib.Path(__file__).parents[2] / "examples/flights/flights.csv.gz"
TEXTS = ["carrier", "origin", "dest"]
NUMBERS = ["sched_dep_time", "dep_delay", "distance", "air_time"]
# In the order of the columns.
FEATURES = ["carrier", "origin", "dest", "sched_dep_time", "dep_delay", "distance", "air_time"]
# Fewer than any day has, so that every day is judged.
WINDOW_ROWS = 50
MIN_EXPECTED = 5
MIN_EFFECT = 0.05
# Looks a month that may err, of windows of 30 days: 1 allows all of them, so that the effect decides alone.
BUDGETS = [1, 0.05]


def read():
    rows = []
    for row in csv.DictReader(gzip.open(DATA, "rt")):
        day = datetime.date(2013, int(row["month"]), int(row["day"]))
        values = {name: row[name] for name in TEXTS}
        values |= {name: float(row[name]) for name in NUMBERS}
        rows.append((day, values))
    return rows


def column(rows, name):
    return [values[name] for _, values in rows]


def factor(rows):
    """How many rows are different in what is judged, of each."""
    return len({tuple(values[name] for name in FEATURES) for _, values in rows}) / len(rows)


def merged(expected):
    """The group of each part: neighbours joined from the lowest up until each expects enough."""
    of, group, so_far = [], 0, 0.0
    for rows in expected:
        of.append(group)
        so_far += rows
        if so_far >= MIN_EXPECTED:
            group, so_far = group + 1, 0.0
    return [min(at, max(group - 1, 0)) for at in of]


class Number:
    """256 bins at quantiles of the reference, ten deciles, and each bin with a tenth of the rows apart."""

    def __init__(self, values):
        rows = sorted(values)
        n = len(rows)
        cut = lambda q: rows[math.ceil(n * q) - 1]
        fine_of_decile = [26, 26, 26, 25, 25, 25, 25, 26, 26, 26]
        parts = [(k, Fraction(j, f)) for k, f in enumerate(fine_of_decile) for j in range(f)][1:]
        fine = {cut((k + part) / 10) for k, part in parts}
        deciles = {cut(Fraction(k, 10)) for k in range(1, 10)} - {rows[-1]}
        self.edges = np.array(sorted(fine - {rows[-1]}))
        counts = self.fine(values)
        wide = counts >= n / 10
        ends = [self.edges[i] in deciles or wide[i] or wide[i + 1] for i in range(len(self.edges))]
        apart = np.concatenate([[0], np.cumsum(ends)]).astype(int)
        shares = np.bincount(apart, counts) / n
        self.of = np.array(merged(shares * min(WINDOW_ROWS, n)))[apart]
        groups = self.of[np.searchsorted(self.edges, values, side="left")]
        self.points = [np.mean(np.array(values)[groups == at]) for at in range(max(self.of) + 1)]

    def fine(self, values):
        return np.bincount(np.searchsorted(self.edges, values, side="left"), minlength=len(self.edges) + 1)

    def count(self, values):
        return np.bincount(self.of, self.fine(values))


class Category:
    """Texts, rare ones with their neighbours by name.

    What the reference lacks is a group of its own if it has no text only once, else with the last.
    """

    def __init__(self, values):
        counts = Counter(values)
        names = sorted(counts)
        scale = min(WINDOW_ROWS, len(values)) / len(values)
        of = merged([counts[name] * scale for name in names])
        self.of = dict(zip(names, of))
        self.other = max(of) + (1 if min(counts.values()) > 1 else 0)

    def count(self, values):
        groups = [self.of.get(value, self.other) for value in values]
        return np.bincount(groups, minlength=self.other + 1).astype(float)


def contingency(before, now, **kind):
    filled = (before + now) > 0
    return stats.chi2_contingency([before[filled], now[filled]], correction=False, **kind)


def dispersion(blocks):
    """phi, and the degrees of freedom of F: of blocks against the rest, by eigenvalues of their residuals."""
    whole = sum(blocks)
    # What no block has shows nothing.
    blocks, whole = [block[whole > 0] for block in blocks], whole[whole > 0]
    ratios, residuals = [], []
    for block in blocks:
        test = contingency(np.maximum(whole - block, 0), block)
        share = block.sum() / whole.sum()
        expected = whole * share
        ratios.append(test.statistic / test.dof)
        residuals.append((block - expected) / np.sqrt(expected * (1 - share)))
    eigenvalues = np.linalg.svd(np.array(residuals), compute_uv=False) ** 2
    # At most 7 % above the largest, which is the safe side.
    largest = eigenvalues[0] * ((eigenvalues / eigenvalues[0]) ** 64).sum() ** (1 / 64)
    return max(np.mean(ratios), 1.0), max(eigenvalues.sum() / largest, 1.0), len(blocks) - 1.0


class Feature:
    def __init__(self, january, name):
        values = column(january, name)
        self.name = name
        self.bins = Number(values) if name in NUMBERS else Category(values)
        by_day = {}
        for row in january:
            by_day.setdefault(row[0], []).append(row)
        blocks = [self.bins.count(column(rows, name)) * factor(rows) for rows in by_day.values()]
        self.phi, self.d1, self.d2 = dispersion(blocks)

    def tail(self, statistic, dof):
        return stats.f.sf(statistic / (self.phi * dof), min(self.d1, dof), self.d2)

    def decides(self, before, now):
        """X2, the p of alarms, and PSI as measured and less what chance shows."""
        n, m = before.sum(), now.sum()
        test = contingency(before, now)
        g2 = contingency(before, now, lambda_="log-likelihood").statistic
        both = (before + now)[before + now > 0]
        q = 1 + ((n + m) / n + (n + m) / m - 1) * ((n + m) * (1 / both).sum() - 1) / (6 * (n + m) * test.dof)
        p = max(self.tail(test.statistic, test.dof), self.tail(g2 / q, test.dof))
        smooth = lambda counts: (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
        a, b = smooth(before), smooth(now)
        psi = (special.kl_div(a, b) + special.kl_div(b, a)).sum()
        v = self.phi * (1 / n + 1 / m)
        psi = [psi, max(psi - test.dof * v, 0)]
        return dict(x2=test.statistic, dof=test.dof, alarm_p=p, psi=psi), (a, b, v)

    def compare(self, january, rows):
        name = self.name
        then, now = column(january, name), column(rows, name)
        scales = factor(january), factor(rows)
        before, after = self.bins.count(then) * scales[0], self.bins.count(now) * scales[1]
        found, (a, b, v) = self.decides(before, after)
        n, m, dof = before.sum(), after.sum(), found["dof"]
        less = lambda raw, chance: [float(raw), max(float(raw - chance), 0.0)]
        root = lambda pair: [math.sqrt(max(x, 0.0)) for x in pair]
        pooled = (before + after) / (n + m)
        js, hellinger = jensenshannon(a, b, base=2) ** 2, ((np.sqrt(a) - np.sqrt(b)) ** 2).sum() / 2
        found |= dict(n=n, m=m, phi=self.phi, p=stats.chi2.sf(found["x2"] / self.phi, dof))
        spread = np.sqrt(pooled * (1 - pooled) * v / (2 * math.pi)).sum()
        found |= dict(
            js=root(less(js, dof * v / (8 * math.log(2)))),
            hellinger=root(less(hellinger, dof * v / 8)),
            total_variation=less(abs(a - b).sum() / 2, spread),
            ks=less(abs(np.cumsum(a - b)).max(), math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(v)),
        )
        if isinstance(self.bins, Number):
            fine = self.bins.fine(then) / len(then), self.bins.fine(now) / len(now)
            d = abs(np.cumsum(fine[0] - fine[1])).max()
            below, points = np.cumsum(pooled)[:-1], self.bins.points
            chance = (np.diff(points) * np.sqrt(2 * below * (1 - below) * v / math.pi)).sum()
            found |= dict(
                ks_test=[d, special.kolmogorov(d * math.sqrt(n * m / ((n + m) * self.phi)))],
                wasserstein=less(stats.wasserstein_distance(points, points, a, b), chance),
            )
        return found


def holm(ps):
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=lambda at: ps[at])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = largest
    return adjusted


def judge(found, levels):
    """Adds the adjusted p, and whether it is drift at each level, to all features of a look."""
    for of_feature, adjusted in zip(found.values(), holm([it["alarm_p"] for it in found.values()])):
        of_feature["adjusted_p"] = adjusted
        of_feature["drift"] = [adjusted <= level and of_feature["psi"][1] > MIN_EFFECT for level in levels]
    return found


def plain(x):
    return x.item() if isinstance(x, np.generic) else x


def say(**line):
    json.dump(line, sys.stdout, default=plain, separators=(",", ":"))
    print()


def main():
    rows = read()
    january = [row for row in rows if row[0].month == 1]
    features = {name: Feature(january, name) for name in FEATURES}
    say(of="about", scipy=scipy.__version__, numpy=np.__version__, rows=len(rows), window_rows=WINDOW_ROWS)
    for name, it in features.items():
        groups = it.bins.count(column(january, name))
        say(of="feature", name=name, groups=groups.tolist(), phi=it.phi, dof=[it.d1, it.d2])

    def look(part, levels):
        return judge({name: it.compare(january, part) for name, it in features.items()}, levels)

    for month in range(2, 13):
        part = [row for row in rows if row[0].month == month]
        say(of="month", month=month, rows=len(part), features=look(part, BUDGETS))
    for days, levels in [(30, BUDGETS), (1, [1 / 30])]:
        windows = {}
        for row in rows:
            windows.setdefault((row[0] - datetime.date(1970, 1, 1)).days // days, []).append(row)
        for window, part in sorted(windows.items()):
            found = look(part, levels)
            if days == 1:
                found = {name: [it["alarm_p"], it["drift"][0]] for name, it in found.items()}
            say(of="window", days=days, begin=window * days, rows=len(part), features=found)


main()
