"""The tables of README and RESULTS are those that the files under results/ give."""

import json
import re

import pytest

from g_selfatt import models
from runs import results, tables


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_are_those_of_the_results(page):
    text = (results.REPOSITORY / page).read_text()
    assert tables.fill(text) == text  # if not: python -m runs.tables
    assert len(re.findall("<!-- table: ", text)) == len(re.findall("<!-- end of table -->", text))
    assert "<!-- table: " in text


def test_a_table_is_filled_by_hand_computed_figures(tmp_path):
    run = {
        "recipe": "rotdigits_p4sa", "model": "p4sa", "epochs": 10, "best_epoch": 9,
        "parameters": 9468, "validation_accuracy": 0.9, "test_images": 300,
        "machine": "a machine", "data": "digits, turned", "trained_by": f"{10**39}-dirty",
        "config": {},
    }  # fmt: skip
    for seed, (correct, cpu) in enumerate([(270, 50.0), (276, None), (264, 70.0)]):
        figures = {"seed": seed, "test_correct": correct, "test_accuracy": correct / 300}
        results.write(run | figures | {"cpu_seconds": cpu, "seconds": 100.0}, tmp_path)
    page = "before\n<!-- table: {} rotdigits_p4sa -->\nold\n<!-- end of table -->\nafter\n"
    filled = tables.fill(page.format("summary"), tmp_path).splitlines()
    assert filled[0] == "before" and filled[-1] == "after"
    assert filled[3] == "|---|---|---|---|---|---|---|---|"
    assert filled[4] == (
        "| `rotdigits_p4sa` | 90.00 ± 2.00 % | 3 |  | 9,468 | 6 | a machine | digits, turned |"
    )
    (tmp_path / "peers.json").write_text('{"rotdigits_p4sa": 4.2e-16}')
    peers = tables.fill(page.format("peers"), tmp_path).splitlines()
    assert peers[4] == "| p4sa, attention only | 9,468 | 90.00 ± 2.00 % | 3 | 6 | 4e-16 |"
    assert peers[5:-2] == [
        f"| {name} |  | not run |  |  |  |"
        for recipe, name in tables.PEERS.items()
        if recipe != "rotdigits_p4sa"
    ]
    seeds = tables.fill(page.format("seeds"), tmp_path).splitlines()
    assert seeds[5] == (
        "| `rotdigits_p4sa` | 1 | 10 | 9 | 90.00% | 92.00% (276 of 300) | 1000000-dirty |"
    )


def test_what_was_not_run_says_so():
    page = "<!-- table: summary pcam -->\n<!-- end of table -->"
    rows = [row for row in tables.fill(page).splitlines() if "pcam_" in row]
    assert len(rows) == 4
    assert all("| not run |" in row for row in rows)


@pytest.mark.parametrize("weights", models.list_pretrained(), ids=lambda weights: weights.name)
def test_shipped_weights_have_their_figures(weights):
    metadata = weights.metadata
    recorded = json.loads(metadata["results"])
    runs = [run for recipe in results.recipes() for run in results.read(recipe)]
    of_these = [
        run
        for run in runs
        if (run["trained_by"], run["seconds"]) == (metadata["git_revision"], recorded["seconds"])
    ]
    assert len(of_these) == 1
    # Evaluated again by the code of today, which rounds differently than the code that trained.
    images = recorded["test_images"]
    assert abs(of_these[0]["test_correct"] - recorded["test_correct"]) <= 1 + images / 5_000
    assert of_these[0]["parameters"] == recorded["parameters"]


@pytest.mark.parametrize("recipe", results.recipes())
def test_the_figure_in_a_recipe_is_the_measured_one(recipe):
    reached = results.field(recipe, "Reached")
    runs = results.read(recipe)
    if not runs:
        assert reached == "not run"
        return
    mean = sum(100 * run["test_accuracy"] for run in runs) / len(runs)
    assert float(re.match(r"([\d.]+) %", reached)[1]) == pytest.approx(mean, abs=0.06)
