"""Notebook 06 says what the tables say: its tables are theirs, its sentences hold, and its numbers
have a source.
"""

import re

import pytest
from prose import prose, solution

from helpers.data import load
from helpers.findings.claims import SMALL, batch_cell, below_untrained, judge, mean_of, minus, pair
from helpers.findings.paper import PAPER_BATCHES, PAPER_LENGTHS, TABLE_1, TABLE_3, TABLE_5, TABLE_B1
from helpers.findings.studies import BATCHES, DATA, IMAGES, LENGTHS, STUDIES
from helpers.findings.verdicts import claims_table, headlines_table, judge_all, tally_table
from helpers.metrics import mean_interval
from helpers.models import build_encoder
from helpers.results import curves, read_results
from helpers.settings import TRANSFORMS, settings_for

TABLES = {study: read_results(f"findings_{study}") for study in STUDIES}
PROSE = prose("06")


def shown():
    """Return all tables that the executed notebook shows."""
    return [
        output.data["text/markdown"]
        for cell in solution("06").cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})
    ]


@pytest.mark.parametrize("study", [study for study in STUDIES if study != "knowledge"])
def test_verdicts_are_those_of_the_tables(study):
    assert claims_table(judge(study, TABLES[study])) in shown(), (
        "run: python notebooks/build.py 06 --execute"
    )


def test_the_tally_and_the_claims_chosen_by_rule_are_those_of_the_tables():
    assert tally_table(judge_all()) in shown()
    assert headlines_table(judge_all()) in shown()


def test_what_h_and_z_know_is_what_the_table_holds():
    asked, factors = (table for table in shown() if table.startswith(("| question", "| factor")))
    for row in TABLES["knowledge"]:
        if row["question"] in TABLE_3 or row["data"] == "shapes":
            of = [
                float(each["accuracy"])
                for each in TABLES["knowledge"]
                if all(each[name] == row[name] for name in ("data", "question", "read from"))
            ]
            assert f"{sum(of) / len(of):.1%}" in (asked if row["question"] in TABLE_3 else factors)


def test_every_number_in_the_text_is_the_papers_or_a_setting():
    """Measured numbers stand in no sentence: the tables and figures are made from the rows when the
    notebook runs.
    """
    recipe = settings_for("laptop", "cifar10")
    paper = {
        *(value for table in TABLE_1.values() for value in table.values()),
        *(value for row in (*TABLE_3.values(), *TABLE_5.values()) for value in row),
        *(value for grid in TABLE_B1.values() for row in grid for value in row),
        *PAPER_BATCHES,
        *PAPER_LENGTHS,
        128,
        1.28,
        224,
        24,
        3,
        10,
    }  # TPU cores; millions of images; their pixels; ResNet-50; Figure 8's text
    settings = {
        *BATCHES,
        *LENGTHS,
        IMAGES,
        *(float(cell.about["temperature"]) for cell in STUDIES["temperature"](0)),
        recipe.temperature,
        recipe.batch_size,
        recipe.image_size,
        recipe.image_size / 2,
        round(sum(each.numel() for each in build_encoder("tiny").parameters()) / 1e6, 2),
        len(load("shapes", "train")),
        IMAGES * LENGTHS[-1] / BATCHES[0],
        4000,
        4000 // BATCHES[-1],
        BATCHES[-1] // BATCHES[0],
        len(TRANSFORMS),
        len(TRANSFORMS) ** 2,
        SMALL,
    }
    judging = {
        95,
        4.3,
        25,
        10,
        0,
        1,
        2,
        50,
    }  # the interval, Student's t for three, guessing among four, ten and two
    labels = r"[Nn]otebooks? \d\d( to \d\d)?|^# \d\d|#+ \d\. "
    labels += r"|(Exercise|Figure|Finding) \d|Table \w?\.?\d|\d/\d"
    text = re.sub(labels, " ", re.sub(r"`[^`]*`", " ", PROSE))
    numbers = {
        float(number.replace(",", ""))
        for number in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", text)
    }
    assert numbers <= {float(value) for value in paper | settings | judging} | {5.0}, (
        "5: the minutes it takes"
    )


def verdict_of(claim, data):
    """Return what became of a claim."""
    (one,) = (one for one in judge_all() if one.claim.id == claim and one.data == data)
    return one


def test_what_the_text_says_of_sizes_and_of_knn_is_in_the_tables():
    for claim in (
        "crop-color-beats-either",
        "crop-color-beats-pairs",
        "color-beats-without",
        "crop-beats-without",
    ):
        one = verdict_of(claim, "photos")
        assert one.size == "outside"
        assert 0 < one.mean < one.claim.paper / 2
    assert verdict_of("head-h-beats-z", "photos").mean < 5
    for data in DATA:
        assert verdict_of("head-h-beats-z", data).by_knn.mean < 0
    sizes = [one.size for one in judge_all() if one.size]
    assert sizes.count("inside") < len(sizes) / 5


def test_what_the_text_says_of_untrained_encoders_is_in_the_tables():
    untrained = read_results("findings_untrained")
    baseline, below = below_untrained(TABLES["composition"], untrained, "shapes")
    assert 0.4 < below / 49 < 0.5
    baseline, below = below_untrained(TABLES["composition"], untrained, "photos")
    assert below == 0
    photos = [row for row in TABLES["composition"] if row["data"] == "photos"]
    cells = [mean_of(photos, first=a, second=b) for a in TRANSFORMS for b in TRANSFORMS]
    assert sum(sum(cell.values()) / len(cell) < baseline + 3 for cell in cells) >= 10, (
        "within three points: many"
    )


def best_pair(data):
    """Return the two transforms with the highest mean over both orders and all seeds."""
    rows = [row for row in TABLES["composition"] if row["data"] == data]
    pairs = {frozenset((a, b)) for a in TRANSFORMS for b in TRANSFORMS if a != b}
    score = {
        both: mean_of([row for row in rows if {row["first"], row["second"]} == set(both)])
        for both in pairs
    }
    return set(max(score, key=lambda both: sum(score[both].values())))


def test_the_best_pairs_are_those_that_the_text_names():
    assert best_pair("photos") == {"crop", "color"}
    assert best_pair("shapes") == {"sobel", "color"}


def test_most_pairs_are_no_better_than_the_best_transform_alone():
    for data in DATA:
        rows = [row for row in TABLES["composition"] if row["data"] == data]
        alone = {name: total(mean_of(rows, first=name, second=name)) for name in TRANSFORMS}
        scores = [
            total(mean_of(rows, first=a, second=b))
            for a in TRANSFORMS
            for b in TRANSFORMS
            if a != b
        ]
        assert sum(score <= max(alone.values()) for score in scores) > len(scores) / 2, data
    assert max(alone, key=alone.get) == "sobel"
    assert not surely(
        {
            "pair": pair(rows, "sobel", "color"),
            "alone": mean_of(rows, first="sobel", second="sobel"),
        },
        "pair",
        "alone",
    )


def best(study, x, column="probe", **which):
    """Return for photos and for shapes the value of x with the highest mean."""
    return {
        data: max(curve[data], key=lambda point: point[1])[0]
        for data in DATA
        for curve in [curves(TABLES[study], x, "data", column, data=data, **which)]
    }


def test_the_curves_peak_where_the_text_says():
    assert best("color", "strength", objective="contrastive") == {"photos": "1/2", "shapes": "1/2"}
    assert best("temperature", "temperature", L2="yes") == {"photos": "0.1", "shapes": "0.1"}
    assert best("temperature", "temperature", "pairs_found", L2="yes") == {
        "photos": "0.1",
        "shapes": "0.1",
    }


def known(data, question):
    """Return the mean accuracy on a question from pixels, h and z."""
    return {
        source: mean_of(
            TABLES["knowledge"], "accuracy", data=data, question=question, **{"read from": source}
        )
        for source in ("pixels", "h", "z")
    }


def total(scores):
    """Return the sum over seeds: of two with the same seeds, the larger has the larger mean."""
    return sum(scores.values())


def surely(of, more, less):
    """Return whether the difference of two sources, seed by seed, has an interval above 0."""
    mean, width = mean_interval(list(minus(of[more], of[less]).values()))
    return mean - width > 0


def test_what_the_text_says_of_h_and_z_is_in_the_table():
    assert {one.direction for one in judge("knowledge", TABLES["knowledge"])} == {"same"}
    turns = known("photos", "rotation")["z"]
    assert total(turns) > 35 * len(turns), "far above guessing, 25%"
    assert surely(known("shapes", "colour or grey"), "pixels", "h")
    for name in ("hue", "background_hue", "angle", "size", "x", "class"):
        of = known("shapes", name)
        assert total(of["h"]) > total(of["z"]), name
        assert surely(of, "h", "z") != (name in ("angle", "size")), name
        if name in ("hue", "background_hue", "angle", "size"):
            assert (
                surely(of, "h", "pixels")
                if name in ("angle", "size")
                else surely(of, "pixels", "h")
            ), name


def test_what_the_text_says_of_batch_and_length_is_in_the_table():
    for data in DATA:
        for batch in BATCHES:
            rows = [row for row in TABLES["batch_epochs"] if row["data"] == data]
            short, long = (
                total(batch_cell(rows, "linear", batch, LENGTHS[end])) for end in (0, -1)
            )
            assert long > short, (data, batch)
    for data in DATA:
        rows = [row for row in TABLES["batch_epochs"] if row["data"] == data]
        for length in LENGTHS:
            means = {batch: total(batch_cell(rows, "linear", batch, length)) for batch in BATCHES}
            assert max(means, key=means.get) != BATCHES[-1], (data, length)
    for objective, column in (("contrastive", "probe"), ("supervised", "accuracy")):
        ends = [
            total(
                mean_of(
                    TABLES["batch_epochs"],
                    column,
                    data="photos",
                    objective=objective,
                    scaling="linear",
                    batch=str(BATCHES[k]),
                )
            )
            for k in (0, -1)
        ]
        assert ends[0] > ends[1], "it costs both"


def test_every_study_has_three_seeds():
    assert {len({row["seed"] for row in TABLES[study]}) for study in STUDIES} == {3}
