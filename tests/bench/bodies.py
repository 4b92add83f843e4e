"""Request and response bodies in KServe V1, the same bytes in every run."""

import json
import random
from dataclasses import dataclass

FEATURES = 8
CLASSES = 3
REFERENCE_ROWS = 2
PATH = "/v1/models/bench:predict"


@dataclass(frozen=True)
class Bodies:
    """A request and the response to it, with as many rows."""

    name: str
    request: bytes
    response: bytes

    @property
    def kilobytes(self):
        """Both directions together, in units of 1,000 bytes."""
        return (len(self.request) + len(self.response)) / 1000


def bodies(name, rows):
    """`rows` rows of 8 features asked, as many of 3 class probabilities answered; 50 bytes a row each."""
    dice = random.Random(7)
    instances = [[round(dice.uniform(1, 9.9), 3) for _ in range(FEATURES)] for _ in range(rows)]
    predictions = [_probabilities(dice) for _ in range(rows)]
    return Bodies(name, _compact({"instances": instances}), _compact({"predictions": predictions}))


def reference():
    """The reference request: 2 rows, about 120 bytes each way."""
    return bodies("reference", REFERENCE_ROWS)


def of_size(name, size):
    """As many rows as make the request about `size` bytes; the response comes out alike."""
    per_row = len(bodies(name, 100).request) / 100
    return bodies(name, round(size / per_row))


def _probabilities(dice):
    """A sure prediction: samplers keep unsure ones, which are rare in practice and must be rare here."""
    first = round(dice.uniform(0.8, 0.98), 14)
    second = round((1 - first) * dice.uniform(0.5, 0.99), 14)
    row = [first, second, round(1 - first - second, 14)]
    dice.shuffle(row)
    return row


def _compact(value):
    return json.dumps(value, separators=(",", ":")).encode()
