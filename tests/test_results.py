"""Tables of results: means and intervals as SciPy computes them, and kind words for a table that is
not there.
"""

import re
from itertools import product

import pytest
from prose import printed
from scipy import stats

from helpers.findings.claims import mean_of, minus
from helpers.metrics import mean_interval
from helpers.pretext import TASKS
from helpers.results import read_results, results_table, write_results
from helpers.simclr import load_pretrained
from helpers.transfer import FROZEN, OPTIONS, fingerprint
from helpers.widgets.options import TARGETS, target_rows


def test_means_and_intervals_are_scipys():
    rows = [{"who": "a", "acc": str(value)} for value in (0.5, 0.6, 0.7)] + [
        {"who": "b", "acc": "0.25"}
    ]
    table = results_table(rows, {"who": "learned by"}, {"acc": "kNN"}).splitlines()
    low, high = stats.t.interval(0.95, 2, 0.6, stats.sem([0.5, 0.6, 0.7]))
    assert table[0] == "| learned by | kNN | seeds |"
    assert table[2] == f"| a | 60.0% ± {(high - low) / 2:.1%} | 3 |"
    assert table[3] == "| b | 25.0% | 1 |"


def test_a_single_run_has_an_interval_over_its_test_images():
    table = results_table(
        [{"who": "b", "acc": "0.25", "test_images": "400"}], {"who": "x"}, {"acc": "kNN"}
    )
    low, high = stats.binomtest(100, 400).proportion_ci(method="wilson")
    assert f"| b | 25.0% ({100 * low:.1f} to {100 * high:.1f}) | 1 |" in table
    alike = results_table(
        [{"who": "b", "acc": "0.25", "test_images": "400"}] * 5, {"who": "x"}, {"acc": "kNN"}
    )
    assert f"| b | 25.0% ({100 * low:.1f} to {100 * high:.1f}) | 5 |" in alike, (
        "± 0.0 would claim certainty"
    )


def test_costs_are_means_and_tables_are_read_as_they_were_written(tmp_path):
    rows = [
        {"who": "a", "acc": 0.5, "seconds": 1.0},
        {"who": "a", "acc": 0.7, "seconds": 2.0, "note": "x,y τ"},
    ]
    write_results(tmp_path / "t.csv", rows)
    kept = read_results(tmp_path / "t.csv")
    assert [row["note"] for row in kept] == ["", "x,y τ"]
    assert "| a | 60.0% ± 127.1% | 1.5 | 2 |" in results_table(
        kept, {"who": "who"}, {"acc": "acc"}, {"seconds": "s"}
    )


def test_a_zero_counts():
    rows = [{"who": "a", "gain": value} for value in (0.0, 0.1)]
    assert "| a | 5.0% ± 63.5% | 2 |" in results_table(rows, {"who": "who"}, {"gain": "gain"})


def test_a_missing_table_names_those_that_exist():
    with pytest.raises(FileNotFoundError, match=r"no table 'nothing'.*laptop"):
        read_results("nothing")


@pytest.mark.parametrize(
    ("name", "by", "scores"),
    [
        ("pretext", ("data", "condition"), ("knn", "probe")),
        ("shortcut", ("condition",), ("knn", "probe")),
        ("what_must_stay", ("data", "question", "transforms"), ("knn", "probe")),
        ("batchnorm_bug", ("labels", "encoder_mode"), ("accuracy",)),
        *(
            (f"transfer_{target}", ("labels", "option"), ("accuracy", "val_accuracy"))
            for target in TARGETS.values()
        ),
    ],
)
def test_shipped_tables_hold_accuracies_of_different_seeds(name, by, scores):
    rows = read_results(name)
    assert len({tuple(row[key] for key in (*by, "seed")) for row in rows}) == len(rows), (
        "the same run twice"
    )
    assert all(0 <= float(row[score]) <= 1 for row in rows for score in scores)


@pytest.mark.parametrize("target", TARGETS.values())
def test_transfer_was_compared_by_one_protocol(target):
    rows = read_results(f"transfer_{target}")
    for labels in {row["labels"] for row in rows}:
        group = [row for row in rows if row["labels"] == labels]
        assert {(row["option"], row["seed"]) for row in group} == set(product(OPTIONS, "01234")), (
            "5 seeds for each"
        )
        by_seed = {
            row["seed"]: {
                (r["train_images"], r["val_images"], r["tried"])
                for r in group
                if r["seed"] == row["seed"]
            }
            for row in group
        }
        assert all(len(found) == 1 for found in by_seed.values()), (
            "an option had more images or more tries"
        )
    for row in rows:
        assert (row["before"] == row["after"]) == (row["option"] in FROZEN), "frozen means frozen"
    assert len({(row["images"], row["search"], row["test_images"]) for row in rows}) == 1
    shipped = {
        fingerprint(load_pretrained(name).encoder) for name in {row["encoder"] for row in rows}
    }
    assert {row["encoder_fingerprint"] for row in rows} == shipped, "of the encoder that ships"
    quiet = {
        (row["labels"], row["option"]): row["seconds"]
        for row in read_results("transfer_costs")
        if row["target"] == target
    }
    title = next(title for title, name in TARGETS.items() if name == target)
    assert {(row["labels"], row["option"]): row["seconds"] for row in target_rows(title)} == quiet
    costs = {
        (row["labels"], row["option"], row["choice"])
        for row in read_results("transfer_costs")
        if row["target"] == target
    }
    assert costs == {
        (row["labels"], row["option"], row["choice"]) for row in rows if row["seed"] == "0"
    }


def ahead(target, labels, better, other):
    """Return the difference of two options, seed by seed: its mean, and half the width of its
    interval.
    """
    scores = [
        mean_of(target_rows(target), "accuracy", labels=labels, option=option)
        for option in (better, other)
    ]
    return mean_interval(list(minus(*scores).values()))


def test_what_notebook_05_says_of_few_and_of_many_labels_is_in_the_tables():
    for frozen in ("2", "3"):
        assert ahead("Flowers-17", "20", frozen, "scratch")[0] < 0
        assert all(
            mean > width
            for number in ("10", "50", "100")
            for mean, width in [ahead("CIFAR-10", number, frozen, "scratch")]
        )
    clearly = {
        (number, frozen)
        for number in ("5", "10", "20", "50")
        for frozen in ("2", "3")
        for mean, width in [ahead("Flowers-17", number, "1", frozen)]
        if mean > width
    }
    assert clearly == {("5", "2"), ("10", "2"), ("20", "2"), ("50", "2"), ("20", "3")}


def test_what_notebook_05_says_of_the_supervised_twin_is_in_the_table():
    of = {(row["target"], row["pretraining"]): row for row in read_results("encoders")}
    gap = {
        target: float(of[target, "supervised"]["probe"]) - float(of[target, "SimCLR"]["probe"])
        for target in ("cifar10", "flowers17")
    }
    assert gap["cifar10"] > 0.1
    assert gap["flowers17"] < 0
    found = re.search(r"h = f\(image\): kNN ([\d.]+)%", printed("05"))
    assert all(
        100 * float(of["shapes", name]["knn"]) > float(found[1])
        for name in ("SimCLR", "supervised")
    )


def test_what_notebook_01_says_of_painting_and_jigsaw_is_in_the_table():
    def mean(data, condition, column):
        scores = mean_of(read_results("pretext"), column, data=data, condition=condition)
        return sum(scores.values()) / len(scores)

    photos = "CIFAR-10 (JPEG)"

    def ahead_of_random(task, by):
        rows = read_results("pretext")
        return mean_interval(
            list(
                minus(
                    mean_of(rows, by, data="shapes", condition=task),
                    mean_of(rows, by, data="shapes", condition="random encoder"),
                ).values()
            )
        )

    for task in ("masked", "denoising", "colorization"):
        for by in ("knn", "probe"):
            ahead, width = ahead_of_random(task, by)
            assert 0 < ahead < 10
            assert (ahead > width) == ((task, by) != ("colorization", "probe"))
        assert mean("shapes", task, "knn") < mean("shapes", "raw pixels", "knn")
    trained = [*TASKS, "SimCLR"]
    assert all(
        sorted(trained, key=lambda task: -mean("shapes", task, by))[2] == "jigsaw"
        for by in ("knn", "probe")
    )
    assert mean(photos, "jigsaw", "knn") <= mean(photos, "random encoder", "knn")
    assert mean(photos, "jigsaw", "probe") > mean(photos, "random encoder", "probe")


def test_only_the_bug_moves_the_encoder():
    assert {row["before"] for row in read_results("batchnorm_bug")} == {
        fingerprint(load_pretrained("shapes-six").encoder)
    }
    for row in read_results("batchnorm_bug"):
        assert (row["before"] == row["after"]) == (row["encoder_mode"] == "eval")


def test_both_families_had_the_same_budget():
    trained = [row for row in read_results("pretext") if row["condition"] in (*TASKS, "SimCLR")]
    for data in {row["data"] for row in trained}:
        group = [row for row in trained if row["data"] == data]
        assert {row["condition"] for row in group} == {*TASKS, "SimCLR"}
        assert (
            len(
                {
                    (row["steps"], row["batch"], row["images_encoded"], row["crop_min"])
                    for row in group
                }
            )
            == 1
        )


@pytest.mark.parametrize(
    "name", ["shapes-tiny", "shapes-six", "cifar10-tiny", "cifar10-supervised"]
)
def test_a_shipped_encoder_says_how_it_was_made_and_what_it_reached(name):
    card = load_pretrained(name).card
    assert card["command"] == f"python data/make.py {name}"
    assert card["seconds"] > 60
    for score in card["test"]:
        for kind in ("knn", "probe"):
            low, high = score[f"{kind}_interval"]
            assert low < score[kind] < high
