"""Tables of results: means and intervals as SciPy computes them, and kind words for a table that is not there."""

import pytest
from scipy import stats

from helpers.pretext import TASKS
from helpers.results import read_results, results_table


def test_means_and_intervals_are_scipys():
    rows = [{"who": "a", "acc": str(value)} for value in (0.5, 0.6, 0.7)] + [{"who": "b", "acc": "0.25"}]
    table = results_table(rows, {"who": "learned by"}, {"acc": "kNN"}).splitlines()
    low, high = stats.t.interval(0.95, 2, 0.6, stats.sem([0.5, 0.6, 0.7]))
    assert table[0] == "| learned by | kNN | seeds |"
    assert table[2] == f"| a | 60.0% ± {(high - low) / 2:.1%} | 3 |"
    assert table[3] == "| b | 25.0% | 1 |"


def test_a_single_run_has_an_interval_over_its_test_images():
    table = results_table([{"who": "b", "acc": "0.25", "test_images": "400"}], {"who": "x"}, {"acc": "kNN"})
    low, high = stats.binomtest(100, 400).proportion_ci(method="wilson")
    assert f"| b | 25.0% ({100 * low:.1f} to {100 * high:.1f}) | 1 |" in table


def test_a_missing_table_names_those_that_exist():
    with pytest.raises(FileNotFoundError, match=r"no table 'nothing'.*laptop"):
        read_results("nothing")


@pytest.mark.parametrize(("name", "by", "scores"), [
    ("pretext", ("data", "condition"), ("knn", "probe")),
    ("shortcut", ("condition",), ("knn", "probe")),
    ("what_must_stay", ("data", "question", "transforms"), ("knn", "probe")),
])
def test_shipped_tables_hold_accuracies_of_different_seeds(name, by, scores):
    rows = read_results(name)
    assert len({tuple(row[key] for key in (*by, "seed")) for row in rows}) == len(rows), "the same run twice"
    assert all(0 <= float(row[score]) <= 1 for row in rows for score in scores)


def test_both_families_had_the_same_budget():
    trained = [row for row in read_results("pretext") if row["condition"] in (*TASKS, "SimCLR")]
    for data in {row["data"] for row in trained}:
        group = [row for row in trained if row["data"] == data]
        assert {row["condition"] for row in group} == {*TASKS, "SimCLR"}
        assert len({(row["steps"], row["batch"], row["images_encoded"], row["crop_min"]) for row in group}) == 1
