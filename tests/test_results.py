"""Tables of results: means and intervals as SciPy computes them, and kind words for a table that is not there."""

import pytest
from scipy import stats

from helpers.results import read_results, results_table


def test_means_and_intervals_are_scipys():
    rows = [{"who": "a", "acc": str(value)} for value in (0.5, 0.6, 0.7)] + [{"who": "b", "acc": "0.25"}]
    table = results_table(rows, {"who": "learned by"}, {"acc": "kNN"}).splitlines()
    low, high = stats.t.interval(0.95, 2, 0.6, stats.sem([0.5, 0.6, 0.7]))
    assert table[0] == "| learned by | kNN | seeds |"
    assert table[2] == f"| a | 60.0% ± {(high - low) / 2:.1%} | 3 |"
    assert table[3] == "| b | 25.0% | 1 |"


def test_a_missing_table_names_those_that_exist():
    with pytest.raises(FileNotFoundError, match=r"no table 'nothing'.*laptop"):
        read_results("nothing")
