"""Records what scikit-learn says of small random data, for the tests to compare with.

    python3 -m venv v && v/bin/pip install scikit-learn==1.9.1 && v/bin/python record.py
"""

import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(7)


def metrics(classes: int, rows: int) -> dict:
    """Probabilities rounded to one digit, so that many tie."""
    scores = np.round(random.dirichlet(np.ones(classes), rows), 1)
    scores[:, -1] = 1 - scores[:, :-1].sum(axis=1)
    scores = np.clip(scores, 0.01, 1)
    scores /= scores.sum(axis=1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in scores])
    names = list(range(classes))
    two = classes == 2
    return {
        "classes": classes,
        "probabilities": scores.ravel().tolist(),
        "labels": labels.tolist(),
        "auc": roc_auc_score(labels, scores[:, 1]) if two else roc_auc_score(labels, scores, multi_class="ovr"),
        "accuracy": accuracy_score(labels, scores.argmax(axis=1)),
        "log_loss": log_loss(labels, scores, labels=names),
        "brier": brier_score_loss(labels, scores[:, 1]) if two else brier_score_loss(labels, scores, labels=names),
    }


def logistic(classes: int, rows: int) -> dict:
    """Three numbers on very different scales, and probabilities of the rows themselves."""
    x = np.round(random.normal(size=(rows, 3)) * [1, 30, 0.01] + [0, 100, 5], 3)
    drawn = (x - x.mean(axis=0)) / x.std(axis=0) @ random.normal(size=(3, classes)) * 1.5
    labels = (drawn + random.gumbel(size=drawn.shape)).argmax(axis=1)
    scaled = StandardScaler().fit_transform(x)
    model = LogisticRegression(C=1.0, tol=1e-12, max_iter=100_000).fit(scaled, labels)
    return {
        "classes": classes,
        "values": x.ravel().tolist(),
        "labels": labels.tolist(),
        "probabilities": model.predict_proba(scaled).ravel().tolist(),
    }


for name, recorded in {
    "metrics": [metrics(2, 40), metrics(3, 40)],
    "logistic": [logistic(2, 40), logistic(3, 40)],
}.items():
    (HERE / f"{name}.json").write_text(json.dumps(recorded) + "\n")
