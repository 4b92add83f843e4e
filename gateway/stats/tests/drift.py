"""Asks scipy and mpmath what `drift.txt` records: python3 drift.py > drift.txt.

A line is a name, lists of numbers set apart by `;`, and after `=` what is right. chi2.sf and kolmogorov are
those of mpmath to 60 digits, checked against scipy to 1e-9 wherever scipy has a number; everything else is
scipy's own, but for Holm, Wilson and Newcombe, whose formulas stand here.
"""

import math
import random

import mpmath
import scipy
from scipy import special, stats
from scipy.spatial.distance import jensenshannon

mpmath.mp.dps = 60
random.seed(7)
print(f"# scipy {scipy.__version__}, mpmath {mpmath.__version__}")


def say(name, lists, right):
    texts = [" ".join(repr(float(x)) for x in numbers) for numbers in lists]
    print(name, " ; ".join(texts), "=", " ".join(repr(float(x)) for x in right))


def close(a, b):
    assert b < 1e-290 or abs(a - b) <= 1e-9 * abs(b), (a, b)


def chi2_exact(x, dof):
    return mpmath.gammainc(mpmath.mpf(dof) / 2, mpmath.mpf(x) / 2, mpmath.inf, regularized=True)


for dof in [1, 2, 3, 4, 5, 7, 9, 10, 15, 19, 29, 30, 31, 49, 64, 99, 127, 128, 200, 249, 254, 255]:
    for p in [0.999999, 0.99, 0.9, 0.6, 0.5, 0.4, 0.1, 0.01, 1e-4, 1e-8, 1e-20, 1e-50, 1e-100, 1e-200, 1e-299]:
        x = float(stats.chi2.isf(p, dof))
        if not math.isfinite(x) or x <= 0:
            continue
        right = float(chi2_exact(x, dof))
        close(float(stats.chi2.sf(x, dof)), right)
        say("chi2_sf", [[x, dof]], [right])
        if p <= 0.5:
            say("chi2_isf", [[right, dof]], [x])

for x in [0.1, 0.2, 0.3, 0.5, 0.8, 0.95, 0.999, 1.0, 1.001, 1.2, 1.36, 1.63, 2, 3, 5, 10, 18]:
    k2 = lambda k: (-1) ** (int(k) - 1) * mpmath.exp(-2 * k * k * mpmath.mpf(x) ** 2)
    right = float(2 * sum(k2(mpmath.mpf(k)) for k in range(1, 400)))
    close(float(special.kolmogorov(x)), right)
    say("kolmogorov_sf", [[x]], [right])


def rows(rows_of, bins):
    weights = [random.random() + 0.05 for _ in range(bins)]
    counts = [0] * bins
    for i in random.choices(range(bins), weights, k=rows_of):
        counts[i] += 1
    return counts


for bins in [2, 3, 5, 10, 10, 20, 50, 250]:
    for n, m in [(100, 100), (1000, 1000), (5000, 50), (40, 100_000), (100_000, 100_000)]:
        a, b = rows(n, bins), rows(m, bins)
        kept = [(x, y) for x, y in zip(a, b) if x + y > 0]
        x2, p, dof, _ = stats.chi2_contingency([[x for x, _ in kept], [y for _, y in kept]], correction=False)
        say("pearson", [a, b], [x2, dof, chi2_exact(x2, dof)])
        smooth = lambda c: [(x + 0.5) / (sum(c) + 0.5 * bins) for x in c]
        p, q = smooth(a), smooth(b)
        points = sorted(random.uniform(-100, 100) for _ in range(bins))
        say("wasserstein", [points, a, b], [stats.wasserstein_distance(points, points, p, q)])
        spread = lambda c: [i for i, x in enumerate(c) for _ in range(x)]
        ks = stats.ks_2samp(spread(a), spread(b), method="asymp").statistic if n + m <= 10_000 else None
        if ks is not None:
            say("kolmogorov_smirnov", [a, b], [ks, special.kolmogorov(ks * math.sqrt(n * m / (n + m)))])
        # The smoothed table doubled is one of whole rows, which is what ks_2samp takes.
        doubled = lambda c: spread([2 * x + 1 for x in c])
        ks = stats.ks_2samp(doubled(a), doubled(b), method="asymp").statistic
        psi = float(sum(special.kl_div(p, q) + special.kl_div(q, p)))
        tv = 0.5 * sum(abs(x - y) for x, y in zip(p, q))
        hellinger = math.sqrt(0.5 * sum((math.sqrt(x) - math.sqrt(y)) ** 2 for x, y in zip(p, q)))
        say("effects", [a, b], [psi, jensenshannon(p, q, base=2), ks, tv, hellinger])

for k in [1, 2, 3, 5, 10, 40]:
    for _ in range(5):
        ps = [10 ** random.uniform(-12, 0) for _ in range(k)]
        order = sorted(range(k), key=lambda i: ps[i])
        holm, largest = [0.0] * k, 0.0
        for i, at in enumerate(order):
            largest = max(largest, min(1.0, (k - i) * ps[at]))
            holm[at] = largest
        say("holm", [ps], holm)
        say("benjamini_hochberg", [ps], stats.false_discovery_control(ps, method="bh"))

for confidence in [0.8, 0.9, 0.95, 0.99]:
    z = float(stats.norm.isf((1 - confidence) / 2))
    say("z_of", [[confidence]], [z])
    for hits, n in [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (500, 1000), (99_999, 100_000), (0, 1)]:
        ci = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
        say("wilson", [[hits, n, z]], [ci.low, ci.high])
    for (a, n), (b, m) in [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((0, 10), (0, 20)), ((10, 10), (0, 10))]:
        one = stats.binomtest(a, n).proportion_ci(confidence, method="wilson")
        two = stats.binomtest(b, m).proportion_ci(confidence, method="wilson")
        d = a / n - b / m
        low = d - math.hypot(a / n - one.low, two.high - b / m)
        high = d + math.hypot(one.high - a / n, b / m - two.low)
        say("newcombe", [[a, n], [b, m], [z]], [low, high])

# What a test at this level with that PSI sees, as scipy has it: the power has to be 0.8.
for n, m in [(1000, 1000), (5000, 50)]:
    for level in [0.05, 1e-4]:
        for dof in [1, 9, 30]:
            low, high = 0.0, 1e4
            for _ in range(200):
                middle = (low + high) / 2
                seen = stats.ncx2.sf(stats.chi2.isf(level, dof), dof, middle)
                low, high = (middle, high) if seen < 0.8 else (low, middle)
            say("smallest_psi", [[n, m, level, dof, 2.0]], [high * 2.0 * (1 / n + 1 / m)])

for d1 in [1, 1.37, 2, 5.5, 9, 40.25, 99]:
    for k in [2, 10, 29, 59]:
        d2 = (k - 1) * d1 if k > 2 else 1
        for p in [0.9999, 0.9, 0.5, 0.1, 0.01, 1e-4, 1e-6, 1e-9]:
            x = float(stats.f.isf(p, d1, d2))
            y = mpmath.mpf(d2) / (mpmath.mpf(d2) + mpmath.mpf(d1) * mpmath.mpf(x))
            right = float(mpmath.betainc(mpmath.mpf(d2) / 2, mpmath.mpf(d1) / 2, 0, y, regularized=True))
            close(float(stats.f.sf(x, d1, d2)), right)
            say("f_sf", [[x, d1, d2]], [right])

# G2, and Williams' q from the formula of Sokal and Rohlf.
for bins in [2, 3, 5, 10, 20]:
    for n, m in [(100, 100), (5000, 50), (5000, 500), (40, 100_000), (100_000, 100_000)]:
        a, b = rows(n, bins), rows(m, bins)
        a, b = zip(*[(x, y) for x, y in zip(a, b) if x + y > 0])
        dof, whole = len(a) - 1, n + m
        g2 = stats.chi2_contingency([a, b], correction=False, lambda_="log-likelihood").statistic
        x2 = stats.chi2_contingency([a, b], correction=False).statistic
        columns = whole * sum(1 / (x + y) for x, y in zip(a, b)) - 1
        q = 1 + (whole / n + whole / m - 1) * columns / (6 * whole * dof)
        p = max(chi2_exact(x2, dof), chi2_exact(g2 / q, dof))
        say("significance", [a, b], [g2, q, p])

exact = [(0, 5000, 1, 50), (0, 5000, 3, 50), (3, 5000, 0, 50), (10, 5000, 10, 50), (50, 100, 0, 100), (7, 10, 3, 10)]
exact += [(0, 10, 0, 10), (10, 10, 5, 5), (5000, 5000, 49, 50), (2500, 5000, 51_000, 100_000), (3, 9, 3, 9)]
exact += [(100, 100_000, 160, 100_000), (1000, 1_000_000, 30, 10_000), (1, 5000, 99, 100_000), (5, 40, 90, 1000)]
for _ in range(40):
    n, m = (int(10 ** random.uniform(1, 5)) for _ in range(2))
    share = 10 ** random.uniform(-4, -0.1)
    draw = lambda rows, p: sum(random.random() < p for _ in range(rows))
    exact.append((draw(n, share), n, draw(m, min(share * random.choice([1, 1, 1.3]), 1)), m))
for a, n, b, m in exact:
    say("fisher_exact", [[a, n], [b, m]], [stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue])
