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


# A sentence of the notebook, and what has to be so for it to stand there: (id of a claim, data,
# direction).
SAID: dict[str, list[tuple[str, str, str]]] = {
    "on photos, all of it. Crop with colour is the best pair, ahead of either alone and of every "
    "other pair, and pairs with colour or with a crop are ahead of those without. The 49 cells "
    "come in much the same order": [
        (claim, "photos", "same")
        for claim in (
            "crop-color-beats-either",
            "crop-color-beats-pairs",
            "color-beats-without",
            "crop-beats-without",
            "composition-order",
        )
    ],
    "On shapes, pairs with colour are far ahead, too": [("color-beats-without", "shapes", "same")],
    "on shapes a crop is a burden. Crop with colour is behind colour alone": [
        (claim, "shapes", "opposite") for claim in ("crop-beats-without", "crop-color-beats-either")
    ],
    "Stronger colour jitter costs supervised training accuracy, and SimCLR loses less than "
    "supervised training does, on photos and on shapes": [
        (claim, data, "same")
        for data in DATA
        for claim in ("strength-supervised", "strength-against-supervised")
    ],
    "whether SimCLR itself gains from 1/8 to 1, or from blur": [
        (claim, data, "cannot tell")
        for data in DATA
        for claim in ("strength-simclr", "blur-on-top")
    ],
    "with a nonlinear head, the probe does better on $h$ than on $z$, on photos and on shapes": [
        ("head-h-beats-z", data, "same") for data in DATA
    ],
    "on photos the length of $z$ hardly matters": [("head-length", "photos", "same")],
    "a nonlinear head from a linear one, neither on photos nor on shapes": [
        ("head-nonlinear-beats-linear", data, "cannot tell") for data in DATA
    ],
    "on shapes it is clearly worse than none": [
        ("head-nonlinear-beats-none", "shapes", "opposite")
    ],
    "there a $z$ of 32 numbers is clearly too short": [("head-length", "shapes", "opposite")],
    "longer training helps the largest batch, on photos and on shapes": [
        ("longest-beats-shortest", data, "same") for data in DATA
    ],
    "On photos the order of the sixteen cells is the paper's, with both scalings": [
        (claim, "photos", "same") for claim in ("batch-order-linear", "batch-order-root")
    ],
    "on photos a larger batch costs SimCLR less than supervised training": [
        ("batch-against-supervised", "photos", "same")
    ],
    "On shapes it is clearly behind in the shortest training": [
        ("batch-largest-beats-smallest", "shapes", "opposite")
    ],
    "On photos SimCLR gains *less* from longer training than supervised training does": [
        ("length-against-supervised", "photos", "opposite")
    ],
    "is a little worse than linear scaling for batch 32 in one epoch": [
        ("root-beats-linear", "photos", "opposite")
    ],
    "whether on photos the largest batch beats the smallest in the shortest training": [
        ("batch-largest-beats-smallest", "photos", "cannot tell")
    ],
    "on either, whether that lead changes with longer training": [
        ("batch-lead-shrinks", data, "cannot tell") for data in DATA
    ],
    "and on shapes the order of the cells": [("batch-order-linear", "shapes", "cannot tell")],
    "τ 0.1 is better than τ 1, on photos and on shapes": [
        ("tau-0.1-beats-1", data, "same") for data in DATA
    ],
    "that 0.1 is better than 0.05, or that normalising $z$ helps the probe": [
        (claim, data, "cannot tell")
        for data in DATA
        for claim in ("tau-0.1-beats-0.05", "l2-beats-none")
    ],
    "on photos fewer pairs are found without L2, not more": [
        ("more-pairs-without-l2", "photos", "opposite")
    ],
}


def verdict_of(claim, data):
    """Return what became of a claim."""
    (one,) = (one for one in judge_all() if one.claim.id == claim and one.data == data)
    return one


@pytest.mark.parametrize("sentence", SAID)
def test_a_sentence_stands_only_while_its_verdicts_do(sentence):
    assert " ".join(sentence.split()) in PROSE
    for claim, data, expected in SAID[sentence]:
        assert verdict_of(claim, data).direction == expected, (claim, data)


def test_what_the_text_says_of_sizes_and_of_knn_is_in_the_tables():
    assert "every difference is a fraction of the paper's" in PROSE
    for claim in (
        "crop-color-beats-either",
        "crop-color-beats-pairs",
        "color-beats-without",
        "crop-beats-without",
    ):
        one = verdict_of(claim, "photos")
        assert one.size == "outside"
        assert 0 < one.mean < one.claim.paper / 2
    assert "on photos by far fewer points than the paper's 10" in PROSE
    assert verdict_of("head-h-beats-z", "photos").mean < 5
    assert "By kNN, $h$ is not ahead of $z$ at all" in PROSE
    for data in DATA:
        assert verdict_of("head-h-beats-z", data).by_knn.mean < 0
    assert "the size is hardly ever the paper's" in PROSE
    sizes = [one.size for one in judge_all() if one.size]
    assert sizes.count("inside") < len(sizes) / 5


def test_what_the_text_says_of_untrained_encoders_is_in_the_tables():
    assert (
        "On shapes, nearly half of the cells lie below an untrained encoder. On photos none does, "
        "but many" in PROSE
    )
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
    assert "Crop with colour is the best pair" in PROSE
    assert best_pair("photos") == {"crop", "color"}
    assert (
        "Crop with colour is behind colour alone, and the best pair is Sobel with colour" in PROSE
    )
    assert best_pair("shapes") == {"sobel", "color"}


def test_most_pairs_are_no_better_than_the_best_transform_alone():
    assert (
        "most pairs are no better than the best transform alone: on shapes, Sobel alone is hardly "
        "behind" in PROSE
    )
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
    assert "Its curve rises up to 1/2, then falls" in PROSE
    assert best("color", "strength", objective="contrastive") == {"photos": "1/2", "shapes": "1/2"}
    assert "in the mean the probe does best at τ 0.1" in PROSE
    assert best("temperature", "temperature", L2="yes") == {"photos": "0.1", "shapes": "0.1"}
    assert "in the mean the most are found at τ 0.1, too" in PROSE
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
    assert (
        "$h$ knows more than $z$ about each of the four questions, on photos and on shapes" in PROSE
    )
    assert {one.direction for one in judge("knowledge", TABLES["knowledge"])} == {"same"}
    turns = known("photos", "rotation")["z"]
    assert total(turns) > 35 * len(turns), "far above guessing, 25%"
    assert "whether a shape is grey, a small network tells better from them than from $h$" in PROSE
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
    assert "with linear scaling, eight epochs are ahead of one at every batch size" in PROSE
    for data in DATA:
        for batch in BATCHES:
            rows = [row for row in TABLES["batch_epochs"] if row["data"] == data]
            short, long = (
                total(batch_cell(rows, "linear", batch, LENGTHS[end])) for end in (0, -1)
            )
            assert long > short, (data, batch)
    assert "with linear scaling, the largest batch is nowhere ahead" in PROSE
    for data in DATA:
        rows = [row for row in TABLES["batch_epochs"] if row["data"] == data]
        for length in LENGTHS:
            means = {batch: total(batch_cell(rows, "linear", batch, length)) for batch in BATCHES}
            assert max(means, key=means.get) != BATCHES[-1], (data, length)
    assert "a larger batch costs SimCLR less" in PROSE
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
