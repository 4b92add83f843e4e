"""Tests of the benchmark's own arithmetic: python3 -m unittest discover -s tests/bench"""

import json
import random
import sys
import tempfile
import time
import unittest
from pathlib import Path

import bodies
import measure
import report
from process import Failed, Process


class Bodies(unittest.TestCase):
    def test_the_reference_is_2_rows_of_about_120_bytes_each_way(self):
        body = bodies.reference()
        self.assertEqual(len(json.loads(body.request)["instances"]), 2)
        self.assertEqual(len(json.loads(body.response)["predictions"]), 2)
        for side in (body.request, body.response):
            self.assertTrue(110 <= len(side) <= 130, len(side))

    def test_both_sides_have_the_size_asked_for_and_as_many_rows(self):
        body = bodies.of_size("x", 100_000)
        for side in (body.request, body.response):
            self.assertTrue(95_000 < len(side) < 110_000, len(side))
        rows = json.loads(body.response)["predictions"]
        self.assertEqual(len(json.loads(body.request)["instances"]), len(rows))
        for row in rows:
            self.assertAlmostEqual(sum(row), 1)


class Arithmetic(unittest.TestCase):
    def test_an_interval_contains_0_without_a_difference_and_not_with_one(self):
        dice = random.Random(3)
        off = [dice.gauss(500, 20) for _ in range(10)]
        same = measure.paired_difference([value + dice.gauss(0, 5) for value in off], off)
        more = measure.paired_difference([value + 50 + dice.gauss(0, 5) for value in off], off)
        self.assertTrue(same["low_us"] <= 0 <= same["high_us"], same)
        self.assertTrue(0 < more["low_us"] <= more["difference_us"] <= more["high_us"], more)

    def test_every_peer_goes_first_as_often_as_last(self):
        orders = [measure.turned(["a", "b", "c"], number) for number in range(6)]
        for place in (0, -1):
            self.assertEqual({order[place] for order in orders}, {"a", "b", "c"})
        self.assertTrue(all(sorted(order) == ["a", "b", "c"] for order in orders))

    def test_ratios_are_taken_within_a_round(self):
        def run(cpu):
            return {"cpu_us": cpu, "rps": 1, "busy": 1, "failed": 0, "requests": 1}
        summary = measure.summary([run(20), run(80)], [run(10), run(40)])
        self.assertEqual((summary["ratio"], summary["ratio_range"]), (2, [2, 2]))


class Processes(unittest.TestCase):
    def started(self, program):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        process = Process("p", [sys.executable, "-c", program], {0}, Path(folder.name) / "log")
        self.addCleanup(process.stop)
        return process

    def test_cpu_and_memory_include_children(self):
        burn = "import time\nx = bytes(range(256)) * 200_000\nwhile time.process_time() < 0.3: pass\n"
        child = f"[sys.executable, '-c', {burn + 'input()'!r}]"
        process = self.started(f"import subprocess, sys; subprocess.run({child}, stdin=subprocess.PIPE)")
        end = time.monotonic() + 20
        while process.cpu_seconds() < 0.3 and time.monotonic() < end:
            pass
        self.assertGreaterEqual(process.cpu_seconds(), 0.3)
        self.assertGreater(process.memory(), 50_000_000)

    def test_a_program_that_ends_early_is_reported_with_its_last_words(self):
        with self.assertRaisesRegex(Failed, "ended with 3: no luck"):
            self.started("print('no luck'); raise SystemExit(3)").await_answer(lambda: None)


class Report(unittest.TestCase):
    def test_what_is_missing_or_failed_is_said(self):
        row = {"cpu_us": 1, "rps": 2, "busy": 1, "failed": 7, "requests": 10, "ratio": 1, "ratio_range": [1, 1]}
        main = {1: {"nginx": {**row, "telemetry": None},
                    "weir-plugins": {**row, "telemetry": {"observed": 5}}}}
        text = report.markdown({"missing": {"envoy": "no envoy"}, "failed": {"tail": "why"}, "main": main})
        for part in ("Missing: Envoy** - no envoy", "Failed: tail** - why", "nginx: 7", "observed 50.0%"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
