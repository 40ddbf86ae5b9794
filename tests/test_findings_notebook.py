"""Notebook 06 says what the tables say: its tables are theirs, its sentences hold, and its numbers have a source."""

import re

import pytest
from prose import prose, solution

from helpers.agreement import (
    PAPER_BATCHES,
    PAPER_LENGTHS,
    SMALL,
    TABLE_1,
    TABLE_3,
    TABLE_5,
    TABLE_B1,
    batch_cell,
    judge,
    mean_of,
    minus,
    pair,
    verdict,
    verdicts_table,
)
from helpers.data import load
from helpers.metrics import mean_interval
from helpers.models import build_encoder
from helpers.results import curves, read_results
from helpers.settings import TRANSFORMS, settings_for
from helpers.studies import BATCHES, DATA, IMAGES, LENGTHS, STUDIES

TABLES = {study: read_results(f"findings_{study}") for study in STUDIES}
PROSE = prose("06")


def shown():
    """Return all tables that the executed notebook shows."""
    return [output.data["text/markdown"] for cell in solution("06").cells if cell.cell_type == "code"
            for output in cell.outputs if "text/markdown" in output.get("data", {})]


@pytest.mark.parametrize("study", [study for study in STUDIES if study != "knowledge"])
def test_verdicts_are_those_of_the_tables(study):
    assert verdicts_table(judge(study, TABLES[study])) in shown(), "run: python notebooks/build.py 06 --execute"


def test_what_h_and_z_know_is_what_the_table_holds():
    asked, factors = (table for table in shown() if table.startswith(("| question", "| factor")))
    for row in TABLES["knowledge"]:
        if row["question"] in TABLE_3 or row["data"] == "shapes":
            of = [float(each["accuracy"]) for each in TABLES["knowledge"] if all(
                each[name] == row[name] for name in ("data", "question", "read from"))]
            assert f"{sum(of) / len(of):.1%}" in (asked if row["question"] in TABLE_3 else factors)


def test_every_number_in_the_text_is_the_papers_or_a_setting():
    """Measured numbers stand in no sentence: the tables and figures are made from the rows when the notebook runs."""
    recipe = settings_for("laptop", "cifar10")
    paper = {*(value for table in TABLE_1.values() for value in table.values()),
             *(value for row in (*TABLE_3.values(), *TABLE_5.values()) for value in row),
             *(value for grid in TABLE_B1.values() for row in grid for value in row),
             *PAPER_BATCHES, *PAPER_LENGTHS,
             128, 1.28, 224, 24, 3, 10}  # TPU cores; millions of images; their pixels; ResNet-50; Figure 8's text
    settings = {*BATCHES, *LENGTHS, IMAGES, *(float(cell.about["temperature"]) for cell in STUDIES["temperature"](0)),
                recipe.temperature, recipe.batch_size, recipe.image_size,
                recipe.image_size / 2,
                round(sum(each.numel() for each in build_encoder("tiny").parameters()) / 1e6, 2),
                len(load("shapes", "train")), IMAGES * LENGTHS[-1] / BATCHES[0],
                4000, 4000 // BATCHES[-1], BATCHES[-1] // BATCHES[0], len(TRANSFORMS), len(TRANSFORMS) ** 2, SMALL}
    judging = {95, 4.3, 25, 10, 0, 1, 2, 50}  # the interval, Student's t for three, guessing among four, ten and two
    labels = r"[Nn]otebooks? \d\d( to \d\d)?|^# \d\d|#+ \d\. |(Exercise|Figure|Finding) \d|Table \w?\.?\d|\d/\d"
    text = re.sub(labels, " ", re.sub(r"`[^`]*`", " ", PROSE))
    numbers = {float(number.replace(",", "")) for number in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", text)}
    assert numbers <= {float(value) for value in paper | settings | judging} | {5.0}, "5: the minutes it takes"


# A sentence of the notebook, and what has to be so in the tables for it to stand there.
SAID: dict[str, list[tuple[str, str, str, str]]] = {
    "on photos, all of it. Crop with colour is the best pair, ahead of either alone and of every other pair, and pairs "
    "with colour or with a crop are ahead of those without": [("composition", claim, "photos", "agrees") for claim in (
        "crop with colour beats the better of the two alone", "crop with colour beats the best other pair",
        "pairs with colour beat pairs without", "pairs with a crop beat pairs without")],
    "On shapes, pairs with colour are far ahead, too": [
        ("composition", "pairs with colour beat pairs without", "shapes", "agrees")],
    "on shapes a crop is a burden. Crop with colour is behind colour alone": [
        ("composition", claim, "shapes", "disagrees") for claim in (
            "pairs with a crop beat pairs without", "crop with colour beats the better of the two alone")],
    "Stronger colour jitter costs supervised training, and SimCLR gains more from it than supervised training does, on "
    "photos and on shapes": [("color", claim, data, "agrees") for data in DATA for claim in (
        "supervised training loses from strength 1/8 to 1", "SimCLR gains more from strength than supervised")],
    "that SimCLR itself gains from 1/8 to 1, or from blur": [
        ("color", claim, data, "undecided") for data in DATA for claim in (
            "SimCLR gains from strength 1/8 to 1", "SimCLR gains from blur on top")],
    "with a nonlinear head, $h$ does better than $z$, on photos and on shapes": [
        ("head", "with a nonlinear head, h beats z", data, "agrees") for data in DATA],
    "on photos the length of $z$ hardly matters": [("head", "z of 512 numbers or of 32", "photos", "agrees")],
    "a nonlinear head cannot be told from a linear one, neither on photos nor on shapes": [
        ("head", "a nonlinear head beats a linear one", data, "undecided") for data in DATA],
    "On shapes it is clearly worse than none": [("head", "a nonlinear head beats none", "shapes", "disagrees")],
    "there a $z$ of 32 numbers is clearly too short": [("head", "z of 512 numbers or of 32", "shapes", "disagrees")],
    "longer training helps the largest batch, on photos and on shapes": [
        ("batch_epochs", "the longest training beats the shortest, largest batch", data, "agrees") for data in DATA],
    "On photos the order of the sixteen cells is the paper's, with both scalings": [
        ("batch_epochs", f"the order of the 16 cells (mostly of their lengths), {scaling} scaling", "photos", "agrees")
        for scaling in ("linear", "root")],
    "on photos a larger batch costs SimCLR less than supervised training": [
        ("batch_epochs", "SimCLR gains more from a larger batch than supervised", "photos", "agrees")],
    "On shapes it is clearly behind in the shortest training": [
        ("batch_epochs", "the largest batch beats the smallest, shortest training", "shapes", "disagrees")],
    "On photos SimCLR gains *less* from longer training than supervised training does": [
        ("batch_epochs", "SimCLR gains more from longer training than supervised", "photos", "disagrees")],
    "is a little worse than linear scaling for batch 32 in one epoch": [
        ("batch_epochs", "root scaling beats linear, smallest batch and shortest", "photos", "disagrees")],
    "whether on photos the largest batch beats the smallest in the shortest training": [
        ("batch_epochs", "the largest batch beats the smallest, shortest training", "photos", "undecided")],
    "on either, whether that lead changes with longer training": [
        ("batch_epochs", "that lead shrinks from the shortest training", data, "undecided") for data in DATA],
    "and on shapes the order of the cells": [
        ("batch_epochs", "the order of the 16 cells (mostly of their lengths), linear", "shapes", "undecided")],
    "τ 0.1 is better than τ 1, on photos and on shapes": [
        ("temperature", "τ 0.1 beats τ 1", data, "agrees") for data in DATA],
    "that 0.1 is better than 0.05, or that normalising $z$ helps the probe": [
        ("temperature", claim, data, "undecided") for data in DATA for claim in (
            "τ 0.1 beats τ 0.05", "with L2 (τ 0.1) beats without (τ 10)")],
    "on photos fewer pairs are found without L2, not more": [
        ("temperature", "more pairs are found without L2", "photos", "disagrees")],
}


@pytest.mark.parametrize("sentence", SAID)
def test_a_sentence_stands_only_while_its_verdicts_do(sentence):
    assert " ".join(sentence.split()) in PROSE
    for study, claim, data, expected in SAID[sentence]:
        line, = (line for line in judge(study, TABLES[study])
                 if line["claim"].startswith(claim) and line["data"] == data)
        assert line["verdict"] == expected, (claim, data)


def best_pair(data):
    """Return the two transforms with the highest mean over both orders and all seeds."""
    rows = [row for row in TABLES["composition"] if row["data"] == data]
    pairs = {frozenset((a, b)) for a in TRANSFORMS for b in TRANSFORMS if a != b}
    score = {both: mean_of([row for row in rows if {row["first"], row["second"]} == set(both)]) for both in pairs}
    return set(max(score, key=lambda both: sum(score[both].values())))


def test_the_best_pairs_are_those_that_the_text_names():
    assert "Crop with colour is the best pair" in PROSE
    assert best_pair("photos") == {"crop", "color"}
    assert "Crop with colour is behind colour alone, and the best pair is Sobel with colour" in PROSE
    assert best_pair("shapes") == {"sobel", "color"}


def test_most_pairs_are_no_better_than_the_best_transform_alone():
    assert "most pairs are no better than the best transform alone: on shapes, Sobel alone is hardly behind" in PROSE
    for data in DATA:
        rows = [row for row in TABLES["composition"] if row["data"] == data]
        alone = {name: total(mean_of(rows, first=name, second=name)) for name in TRANSFORMS}
        scores = [total(mean_of(rows, first=a, second=b)) for a in TRANSFORMS for b in TRANSFORMS if a != b]
        assert sum(score <= max(alone.values()) for score in scores) > len(scores) / 2, data
    assert max(alone, key=alone.get) == "sobel"
    assert not surely({"pair": pair(rows, "sobel", "color"), "alone": mean_of(rows, first="sobel", second="sobel")},
                      "pair", "alone")


def best(study, x, column="probe", **which):
    """Return for photos and for shapes the value of x with the highest mean."""
    return {data: max(curve[data], key=lambda point: point[1])[0] for data in DATA
            for curve in [curves(TABLES[study], x, "data", column, data=data, **which)]}


def test_the_curves_peak_where_the_text_says():
    assert "Its curve rises up to 1/2, then falls" in PROSE
    assert best("color", "strength", objective="contrastive") == {"photos": "1/2", "shapes": "1/2"}
    assert "in the mean the probe does best at τ 0.1" in PROSE
    assert best("temperature", "temperature", L2="yes") == {"photos": "0.1", "shapes": "0.1"}
    assert "in the mean the most are found at τ 0.1, too" in PROSE
    assert best("temperature", "temperature", "pairs_found", L2="yes") == {"photos": "0.1", "shapes": "0.1"}


def known(data, question):
    """Return the mean accuracy on a question from pixels, h and z."""
    return {source: mean_of(TABLES["knowledge"], "accuracy", data=data, question=question, **{"read from": source})
            for source in ("pixels", "h", "z")}


def total(scores):
    """Return the sum over seeds: of two with the same seeds, the larger has the larger mean."""
    return sum(scores.values())


def surely(of, more, less):
    """Return whether the difference of two sources, seed by seed, has an interval above 0."""
    return verdict(*mean_interval(list(minus(of[more], of[less]).values()))) == "agrees"


def test_what_the_text_says_of_h_and_z_is_in_the_table():
    assert "$h$ knows more than $z$ about each of the four questions, on photos and on shapes" in PROSE
    assert {line["verdict"] for line in judge("knowledge", TABLES["knowledge"])} == {"agrees"}
    turns = known("photos", "rotation")["z"]
    assert total(turns) > 35 * len(turns), "far above guessing, 25%"
    assert "whether a shape is grey, a small network tells better from them than from $h$" in PROSE
    assert surely(known("shapes", "colour or grey"), "pixels", "h")
    for name in ("hue", "background_hue", "angle", "size", "x", "class"):
        of = known("shapes", name)
        assert total(of["h"]) > total(of["z"]), name
        assert surely(of, "h", "z") != (name in ("angle", "size")), name
        if name in ("hue", "background_hue", "angle", "size"):
            assert surely(of, "h", "pixels") if name in ("angle", "size") else surely(of, "pixels", "h"), name


def test_what_the_text_says_of_batch_and_length_is_in_the_table():
    assert "with linear scaling, eight epochs are ahead of one at every batch size" in PROSE
    for data in DATA:
        for batch in BATCHES:
            rows = [row for row in TABLES["batch_epochs"] if row["data"] == data]
            short, long = (total(batch_cell(rows, "linear", batch, LENGTHS[end])) for end in (0, -1))
            assert long > short, (data, batch)
    assert "with linear scaling, the largest batch is nowhere ahead" in PROSE
    for data in DATA:
        rows = [row for row in TABLES["batch_epochs"] if row["data"] == data]
        for length in LENGTHS:
            means = {batch: total(batch_cell(rows, "linear", batch, length)) for batch in BATCHES}
            assert max(means, key=means.get) != BATCHES[-1], (data, length)
    assert "a larger batch costs SimCLR less" in PROSE
    for objective, column in (("contrastive", "probe"), ("supervised", "accuracy")):
        ends = [total(mean_of(TABLES["batch_epochs"], column, data="photos", objective=objective, scaling="linear",
                              batch=str(BATCHES[k]))) for k in (0, -1)]
        assert ends[0] > ends[1], "it costs both"


def test_every_study_has_three_seeds():
    assert {len({row["seed"] for row in TABLES[study]}) for study in STUDIES} == {3}
