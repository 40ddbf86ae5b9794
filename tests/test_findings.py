"""The studies: cells are what they say, a grid goes on where it stopped, and agreement is judged by
its rules.
"""

import csv
import json
import math
import multiprocessing
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image

from helpers.__main__ import main
from helpers.artifacts import PROJECT
from helpers.augmentations import color_drop, sobel
from helpers.data import ImageSet, load
from helpers.findings import run as findings
from helpers.findings.claims import CLAIMS, Claim, direction, judge, size
from helpers.findings.panels import panels
from helpers.findings.paper import FIGURE_5, PAPER_LENGTHS, TABLE_1, TABLE_3, TABLE_5, TABLE_B1
from helpers.findings.run import (
    pairs_found,
    run_cell,
    run_study,
    score_untrained,
    unnormalized_nt_xent,
)
from helpers.findings.studies import BATCHES, LENGTHS, STUDIES, Cell
from helpers.findings.verdicts import (
    DIRECTIONS,
    ELSEWHERE,
    HEADLINES,
    claims_table,
    headlines_table,
    judge_all,
    selected,
    tally,
)
from helpers.plotting import draw_curves
from helpers.results import curves, read_results
from helpers.settings import PRESETS, TRANSFORMS
from helpers.simclr import Pretrained, SimCLR
from helpers.widgets.composition import CompositionExplorer
from helpers.widgets.prediction import Prediction
from slides.figures.lecture3 import NUMBERS, SHORT

TINY = replace(PRESETS["smoke"], epochs=1.0)
LECTURE_3 = (PROJECT / "slides" / "03_simclr_findings.md").read_text("utf-8")


def views(one_branch: str) -> tuple[torch.Tensor, torch.Tensor]:
    images = load("shapes", "train", limit=64).images
    settings = replace(TINY, one_branch=one_branch, color_p=1.0, gray_p=0.0)
    return SimCLR(settings, images).two_views(0).chunk(2)


def test_one_branch_changes_the_first_view_of_a_shared_crop():
    first, second = views("sobel")
    torch.testing.assert_close(first, sobel(second, torch.ones(len(second))))
    first, second = views("rotate")
    turned = [
        sum(torch.equal(a, torch.rot90(b, k, (1, 2))) for a, b in zip(first, second, strict=True))
        for k in range(4)
    ]
    assert sum(turned) == len(first)
    assert min(turned) > 0
    assert not torch.equal(second[0], load("shapes", "train", limit=64).images[0] / 255), (
        "both views are cropped"
    )


def test_one_branch_keeps_the_order_of_its_transforms():
    def is_grey(images):
        return torch.allclose(images, color_drop(images, torch.ones(len(images))), atol=1e-3)

    assert is_grey(views("noise,sobel")[0])
    assert not is_grey(views("sobel,noise")[0])


def test_an_unknown_transform_is_refused():
    with pytest.raises(ValueError, match=r"unknown transform 'colour'.*color, sobel"):
        replace(TINY, one_branch="crop,colour")


def test_cells_are_told_apart_and_cover_the_papers_grids():
    for name, study in STUDIES.items():
        cells = [cell for seed in range(2) for cell in study(seed)]
        assert len({cell.key for cell in cells}) == len(cells), name
    grid = {
        tuple(cell.about.values()): cell.settings.one_branch for cell in STUDIES["composition"](0)
    }
    assert len(grid) == len(TRANSFORMS) ** 2
    assert (grid["crop", "crop"], grid["noise", "crop"]) == ("crop", "noise,crop")
    strengths = {
        cell.about["strength"]: cell.settings.color_strength for cell in STUDIES["color"](0)
    }
    assert strengths == {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "1": 1.0, "1 + blur": 1.0}
    largest = [
        cell for cell in STUDIES["batch_epochs"](0) if cell.settings.batch_size == BATCHES[-1]
    ]
    assert {replace(cell.settings, lr_scaling="sqrt").peak_lr for cell in largest} == {0.12}, (
        "both scalings meet there"
    )


def test_the_loss_without_normalisation_against_its_definition():
    z = torch.randn(8, 5)
    terms = []
    for k in range(8):
        others = [j for j in range(8) if j != k]
        terms.append(
            -math.log(
                math.exp(z[k] @ z[(k + 4) % 8] / 3) / sum(math.exp(z[k] @ z[j] / 3) for j in others)
            )
        )
    assert unnormalized_nt_xent(z, 3.0).item() == pytest.approx(sum(terms) / 8, rel=1e-5)


@pytest.fixture
def tiny_study(monkeypatch):
    """Two cells of a second each, of 96 test images."""

    def cells(seed):
        return [
            Cell(
                "shapes",
                {"temperature": tau},
                replace(TINY, temperature=float(tau), seed=seed),
                images=128,
                measure=measure,
            )
            for tau, measure in (("0.1", ""), ("0.5", "head"))
        ]

    whole = findings.load
    monkeypatch.setattr(
        findings,
        "load",
        lambda name, split, limit=None, **how: whole(
            name, split, limit=min(limit or 96, 128), **how
        ),
    )
    findings._parts.cache_clear()
    monkeypatch.setitem(STUDIES, "tiny", cells)
    yield cells
    findings._parts.cache_clear()


def test_a_study_goes_on_where_it_stopped(tiny_study, capsys):
    kept = []
    rows = run_study(
        "tiny", seeds=2, data=("shapes",), keep=lambda rows: kept.append(len(rows)), progress=False
    )
    assert kept == [1, 2, 3, 4]
    assert {(row["temperature"], row["seed"]) for row in rows} == {
        (t, s) for t in ("0.1", "0.5") for s in (0, 1)
    }
    assert "probe_z" in rows[1]
    assert "probe_z" not in rows[0]
    half = rows[2:]
    again = run_study(
        "tiny", seeds=2, data=("shapes",), known=half, keep=lambda rows: kept.append(len(rows))
    )
    assert kept[4:] == [3, 4], "what is known is not run again, and keeps its place"
    assert "2 of 4 runs to do: about 0 h" in capsys.readouterr().out
    assert [row["knn"] for row in again] == [row["knn"] for row in rows]


def test_rows_of_other_settings_are_refused(tiny_study):
    row = run_cell(tiny_study(0)[0])[0]
    with pytest.raises(ValueError, match=r"shapes 0\.1 0 was made with other settings"):
        run_study(
            "tiny",
            seeds=1,
            data=("shapes",),
            known=[
                row | {"settings": json.dumps(json.loads(row["settings"]) | {"batch_size": 64})}
            ],
            progress=False,
        )
    for change in ({"images": "999"}, {"images": "64"}, {"source": "cats.zip"}):
        with pytest.raises(ValueError, match="other settings or images"):
            run_study("tiny", seeds=1, data=("shapes",), known=[row | change], progress=False)
    with pytest.raises(ValueError, match="not of the study 'tiny'"):
        run_study("tiny", seeds=1, data=("shapes",), known=[{"data": "shapes"}], progress=False)


def test_workers_find_what_one_process_finds(monkeypatch):
    cells = [Cell("shapes", {"n": str(n)}, replace(TINY, seed=n), images=64) for n in range(2)]
    monkeypatch.setitem(STUDIES, "two", lambda seed: cells)
    rows = run_study("two", seeds=1, data=("shapes",), workers=2, progress=False)
    assert {row["threads"] for row in rows} == {1}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = run_study("two", seeds=1, data=("shapes",), progress=False)
    torch.set_num_threads(threads)
    scores = ("n", "knn", "probe", "pairs_found")
    assert [[row[name] for name in scores] for row in rows] == [
        [row[name] for name in scores] for row in here
    ]


def test_workers_end_with_what_was_asked_for():
    """As after Ctrl-C: nobody waits for the runs that were begun."""
    cells = [
        Cell(
            "shapes",
            {"n": str(n)},
            replace(TINY, seed=n, epochs=1.0 if n == 0 else 10_000.0),
            images=64,
        )
        for n in range(2)
    ]
    found = findings._trained(cells, "cifar10", 2)
    assert next(found)[0] == cells[0]
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    found.close()
    deadline = time.monotonic() + 10
    # not join: the pool's own thread may collect the process at the same moment
    for worker in workers:
        while worker.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not worker.is_alive()


def test_a_cell_of_knowledge_asks_its_own_question_of_pixels_h_and_z(tiny_study, monkeypatch):
    read = []

    def told(net, train, val, **how):
        image = torch.rand(1, 3, 32, 32)
        read.append((net.eval()(image).shape[1], len(train.classes)))
        return type("Fitted", (), {"accuracy": lambda self, test: read[-1][0] / 10_000})()

    monkeypatch.setattr(findings, "train_last_layers", told)
    cells = {
        cell.about["added"]: replace(cell, images=128, settings=replace(TINY, head_dim=224))
        for cell in STUDIES["knowledge"](0)
        if cell.data == "shapes"
    }
    rows = run_cell(cells["Sobel"])
    assert [(row["question"], row["read from"], row["accuracy"]) for row in rows] == [
        ("original or Sobel", "pixels", 0.3072),
        ("original or Sobel", "h", 0.0224),
        ("original or Sobel", "z", 0.0224),
    ]
    assert {row["chance"] for row in rows} == {0.5}
    rows = run_cell(cells["nothing"])
    assert [row["question"] for row in rows[::3]] == ["colour or grey", *findings.FACTORS, "class"]
    assert [row["chance"] for row in rows[::3]] == [0.5, *[0.25] * 5, 0.1]


def test_the_head_is_part_of_z(tiny_study, monkeypatch):
    seen = []
    monkeypatch.setattr(
        findings,
        "evaluate",
        lambda net, *parts, **how: (
            seen.append(net.eval()(torch.zeros(1, 3, 32, 32)).shape[1])
            or {"knn": 0.1, "probe": 0.2, "extra": 0}
        ),
    )
    row = run_cell(replace(tiny_study(0)[1], settings=replace(TINY, head_dim=32)))[0]
    assert seen == [224, 32], "h, then z"
    assert (row["probe"], row["probe_z"]) == (0.2, 0.2)


def test_a_supervised_cell_has_an_accuracy_of_its_own_for_any_number_of_classes(tmp_path):
    noise = torch.Generator().manual_seed(0)
    for split, count in (("train", 40), ("val", 10), ("test", 20)):
        for k in range(3):  # brighter and brighter
            (tmp_path / "photos" / split / "abc"[k]).mkdir(parents=True)
            for n in range(count):
                pixels = torch.randint(0, 60, (48, 48, 3), generator=noise) + 90 * k
                Image.fromarray(pixels.byte().numpy()).save(
                    tmp_path / "photos" / split / "abc"[k] / f"{n}.png"
                )
    cell = next(
        cell for cell in STUDIES["color"](0) if cell.data == "photos" and "supervised" in cell.key
    )
    cell = replace(
        cell,
        settings=replace(cell.settings, batch_size=32, epochs=12.0, color_strength=0.1, gray_p=0.0),
    )
    row = run_cell(cell, str(tmp_path / "photos"))[0]
    assert row["accuracy"] > 0.6
    assert json.loads(row["settings"])["head_dim"] == 3
    assert "pairs_found" not in row
    name, digest = row["source"].split()
    assert (name, len(digest)) == ("photos", 12)


def test_cells_train_with_the_loss_that_they_name(tiny_study, monkeypatch):
    losses = []
    real = findings.pretrain
    monkeypatch.setattr(
        findings,
        "pretrain",
        lambda *a, loss, **how: losses.append(loss) or real(*a, loss=loss, **how),
    )
    for l2 in (True, False):
        run_cell(replace(tiny_study(0)[0], l2=l2))
    assert losses == [None, unnormalized_nt_xent]
    assert [cell.l2 for cell in STUDIES["temperature"](0)] == [
        cell.about["L2"] == "yes" for cell in STUDIES["temperature"](0)
    ]
    added = {cell.about["added"]: cell.settings for cell in STUDIES["knowledge"](0)}
    assert [(s.rotate_p, s.noise_p, s.sobel_p) for s in added.values()] == [
        (0, 0, 0),
        (0.75, 0, 0),
        (0, 0.5, 0),
        (0, 0, 0.5),
    ]


def test_the_estimate_is_this_machines(tiny_study):
    row = {"data": "shapes", "settings": json.dumps({"epochs": 1}), "images": 100, "minutes": 6.0}
    here, there = (
        row | {"hardware": findings.hardware()},
        row | {"hardware": "another", "minutes": 1000.0},
    )
    assert findings._estimate([tiny_study(0)[0]], [here, there], 1) == pytest.approx(
        6.0 * 128 / 100
    )


def test_knowledge_asks_balanced_questions_of_changed_images():
    part = load("shapes", "test", limit=200)
    asked = findings._asked(part, "rotation")
    assert asked.labels.bincount().tolist() == [50] * 4
    for k, (image, label) in enumerate(zip(asked.images, asked.labels, strict=True)):
        torch.testing.assert_close(
            image, torch.rot90(part.images[k], int(label), (1, 2)), atol=1, rtol=0
        )
    grey = findings._asked(part, "colour or grey")
    spread = (grey.images.float().amax(1) - grey.images.float().amin(1)).amax((1, 2))
    assert (spread[grey.labels == 1] <= 1).all()
    assert (spread[grey.labels == 0] > 1).float().mean() > 0.95
    noisy = findings._asked(part, "original or noisy")
    same = (noisy.images == part.images).flatten(1).all(1)
    assert torch.equal(same, noisy.labels == 0)


def test_factors_are_cut_into_quarters_by_train():
    train, test = load("shapes", "train", limit=400), load("shapes", "test", limit=400)
    cut = [findings._binned(part, train, "hue") for part in (train, test)]
    assert cut[0].labels.bincount().tolist() == [100] * 4
    assert cut[1].factors == {}
    shifted = ImageSet(
        "test", test.images, test.labels, test.classes, {"hue": test.factors["hue"] / 2}
    )
    borders = train.factors["hue"].quantile(torch.tensor([0.25, 0.5, 0.75]))
    assert torch.equal(
        findings._binned(shifted, train, "hue").labels,
        torch.bucketize(shifted.factors["hue"], borders),
    )


def test_neighbors_are_the_nearest_by_cosine():
    bank = ImageSet("bank", torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8))
    asked = ImageSet("asked", bank.images[[4, 7]])
    found = findings.neighbors(torch.nn.Flatten(), bank, asked, count=2)
    assert [row[0] for row in found] == [4, 7]


def paper_cells(study: str, seed: int):
    """Yield the paper's cells of a study: (accuracy in percent, other columns) each."""
    if study == "color":
        for objective, strengths in TABLE_1.items():
            for strength, score in strengths.items():
                yield score, {"objective": objective, "strength": strength}
    elif study == "composition":
        for (first, second), score in FIGURE_5.items():
            yield score, {"first": first, "second": second}
    elif study == "head":
        yield from paper_heads(seed)
    elif study == "knowledge":
        added = ("nothing", "rotation", "noise", "Sobel")
        for name, (question, (_, h, z)) in zip(added, TABLE_3.items(), strict=True):
            yield h, {"question": question, "added": name, "read from": "h"}
            yield z, {"question": question, "added": name, "read from": "z"}
    elif study == "temperature":
        ours = TABLE_5 | {("yes", "0.2"): (80, 64), ("no", "1"): (85, 56)}
        for (l2, tau), (pairs, score) in ours.items():
            yield score, {"L2": l2, "temperature": tau, "pairs_found": pairs / 100}
    else:
        yield from paper_batches()


def paper_heads(seed: int):
    """Yield heads as the text on Figure 8 has them: 3 points over linear, 10 or more over none."""
    linear = {"32": 60, "128": 60.25, "512": 60.5}
    nonlinear = {"32": 63 + 0.01 * seed, "128": 63.25, "512": 63.5}
    for kind, scores in (("none", {"": 50}), ("linear", linear), ("nonlinear", nonlinear)):
        for length, score in scores.items():
            yield score, {"head": kind, "probe_z": (score - 12) / 100, "length of z": length}


def paper_batches():
    """Yield the cells of Table B.1, and supervised ones that never change."""
    for scaling, grid in TABLE_B1.items():
        batches = BATCHES if scaling == "linear" else BATCHES[:-1]
        for batch, scores in zip(batches, grid, strict=False):
            for epochs, score in zip(LENGTHS, scores, strict=True):
                about = {"scaling": scaling, "batch": str(batch), "epochs": str(epochs)}
                yield score, {"objective": "contrastive"} | about
                if scaling == "linear":
                    yield 76.0, {"objective": "supervised"} | about


def made_rows(study: str) -> list[dict]:
    """Return rows of three seeds that say exactly what the paper says."""
    rows = []
    for seed in range(3):
        for data in ("photos", "shapes"):
            for score, about in paper_cells(study, seed):
                # Seeds differ more than cells: only differences within a seed tell.
                value = (score + 3 * seed) / 100
                rows.append({"data": data, "seed": seed, "probe": value, "accuracy": value} | about)
    return rows


@pytest.mark.parametrize("study", STUDIES)
def test_the_papers_own_figures_have_every_claims_direction_and_size(study):
    judged = judge(study, made_rows(study))
    assert {one.claim.id for one in judged} == {
        claim.id for claim in CLAIMS if claim.study == study
    }
    for one in judged:
        assert one.direction == "same", one.claim.id
        if one.claim.paper is not None and not one.claim.bound:
            assert one.mean == pytest.approx(one.claim.paper, abs=0.06), one.claim.id


def test_the_papers_rows_of_figure_5_have_the_means_that_it_prints():
    means = {}
    for (first, _), accuracy in FIGURE_5.items():
        means.setdefault(first, []).append(accuracy)
    assert [sum(row) / len(row) for row in means.values()] == pytest.approx(
        [39.2, 29.4, 25.7, 18.8, 15.5, 14.5, 13.8], abs=0.06
    )


def test_the_opposite_of_the_paper_is_opposite():
    rows = made_rows("temperature")
    for row in rows:
        row["probe"], row["pairs_found"] = 1 - row["probe"], 1 - row["pairs_found"]
    assert {one.direction for one in judge("temperature", rows)} == {"opposite"}
    grid = made_rows("batch_epochs")
    for row in grid:
        row["probe"] = 1 - row["probe"]
    assert {one.direction for one in judge("batch_epochs", grid) if one.claim.cells} == {"opposite"}


def test_only_seeds_with_every_cell_are_judged():
    rows = made_rows("temperature")
    half = [
        row
        for row in rows
        if row["seed"] < 2 or (row["L2"] == "yes" and row["temperature"] == "0.1")
    ]
    assert {one.seeds for one in judge("temperature", half)} == {2}
    rows[0]["failed"], rows[0]["probe"] = "the loss is nan", ""
    assert {(one.data, one.seeds) for one in judge("temperature", rows)} == {
        (rows[0]["data"], 2),
        ("shapes", 3),
    }
    assert judge("temperature", rows[:3]) == []
    for study in set(STUDIES) - {"knowledge"}:  # whose cells have many rows, which come together
        for cut in range(0, 60, 7):
            judge(study, made_rows(study)[:cut])


def test_pairs_are_found_by_the_similarity_of_the_loss():
    images = load("shapes", "test", limit=64)
    flat = torch.nn.Flatten()
    found = Pretrained(
        flat,
        torch.nn.Identity(),
        [],
        replace(TINY, color_p=0.0, gray_p=0.0, crop_min=1.0, flip_p=0.0),
    )
    assert pairs_found(found, images) > 0.98, "equal views find each other"
    long = torch.nn.Sequential(flat, torch.nn.Linear(3072, 4))
    long[1].weight.data[:], long[1].bias.data[:] = 1.0, torch.tensor([0.0, 1, 2, 3])
    found = replace(found, encoder=long)
    assert pairs_found(found, images, l2=False) < 0.2, (
        "by dot products the brightest is nearest to all"
    )


def test_a_run_that_diverges_is_a_row_without_scores(tiny_study):
    cell = replace(
        tiny_study(0)[0], settings=replace(TINY, lr=1e9, optimizer="sgd", precision="32-true")
    )
    row = run_cell(cell)[0]
    assert "too high" in row["failed"]
    assert "probe" not in row
    with pytest.raises(ValueError, match="a batch of 256 needs as many images"):
        run_cell(replace(tiny_study(0)[0], settings=replace(TINY, batch_size=256)))


def claim(**options):
    return Claim("x", "head", "x", lambda rows: {}, **options)


def test_the_direction_follows_the_interval():
    above = claim(paper=3.0)
    assert [direction(above, *ours) for ours in ((1, 0.9), (-1, 0.9), (1, 1.1))] == [
        "same",
        "opposite",
        "cannot tell",
    ]
    assert direction(above, 1, math.nan) == "cannot tell", "one seed decides nothing"
    below = claim(paper=-3.0, falls=True)
    assert [direction(below, *ours) for ours in ((-1, 0.9), (1, 0.9), (1, 1.1))] == [
        "same",
        "opposite",
        "cannot tell",
    ]
    order = claim(cells=16)
    assert [direction(order, rho, 0.05) for rho in (0.57, 0.54, -0.57)] == [
        "same",
        "cannot tell",
        "opposite",
    ]
    alike = claim(small=True)
    assert [direction(alike, mean, 1) for mean in (0.5, -0.9, 1.5, 3.5, -3.5)] == [
        "same",
        "same",
        "cannot tell",
        "opposite",
        "opposite",
    ]


def test_the_size_is_whether_the_interval_holds_the_papers_figure():
    assert [size(claim(paper=3.0), mean, 1) for mean in (2.5, 4.0, 4.1, 1.9, -3.0)] == [
        "inside",
        "inside",
        "outside",
        "outside",
        "outside",
    ]
    more_than = claim(paper=10.0, bound=True)
    assert [size(more_than, mean, 1) for mean in (8.9, 9.1, 30.0)] == [
        "outside",
        "inside",
        "inside",
    ]
    assert size(claim(), 1, 1) == size(claim(paper=3.0), 3, math.nan) == ""


def test_kNN_in_place_of_the_probe_turns_what_only_the_probe_shows():
    rows = [row | {"knn": 1 - row["probe"], "knn_z": row["probe_z"]} for row in made_rows("head")]
    judged = {one.claim.id: one for one in judge("head", rows)}
    assert judged["head-nonlinear-beats-none"].turned
    assert judged["head-nonlinear-beats-none"].by_knn.direction == "opposite"
    same = [row | {"knn": row["probe"], "knn_z": row["probe_z"]} for row in rows]
    assert not any(one.turned for one in judge("head", same))
    table = claims_table(judge("head", rows))
    line = next(line for line in table.splitlines() if "a nonlinear head beats none" in line)
    assert line.count("†") == 2
    assert "† Judged by kNN" in table


def test_the_lines_of_readme_and_lecture_are_chosen_by_their_rule():
    """Claims of abstract and section titles, and every claim that is opposite on photos: none more,
    none fewer.
    """
    judged = judge_all()
    known = {claim.id for claim in (*CLAIMS, *ELSEWHERE)}
    headlines = {claim for headline in HEADLINES for claim in headline.claims}
    assert headlines <= known
    opposite = {
        one.claim.id for one in judged if one.data == "photos" and one.direction == "opposite"
    }
    assert set(selected(judged)) == headlines | opposite
    turned = [
        replace(one, direction="opposite") if one.claim.id == "blur-on-top" else one
        for one in judged
    ]
    assert set(selected(turned)) == headlines | opposite | {"blur-on-top"}, (
        "a new opposite is shown, too"
    )
    table = headlines_table(judged)
    for one in judged:
        assert (f"| {one.claim.text} |" in table) == (one.claim.id in selected(judged)), (
            one.claim.id
        )
    for headline in HEADLINES:
        assert headline.unmeasured in table
    told = {
        word: sum(one.data == "photos" and one.direction == word for one in judged)
        for word in DIRECTIONS
    }
    for word, count in told.items():
        assert f"{count} {word}" in tally(judged)
    for lecture in (
        "abstract",
        "against_supervised",
        "batch_epochs",
        "color",
        "composition",
        "head",
        "temperature",
    ):
        assert f"{{{{{lecture}_verdicts}}}}" in LECTURE_3
    shown = "".join(NUMBERS[name]() for name in NUMBERS if name.endswith("_verdicts"))
    for claim in selected(judged):
        assert f"| {SHORT[claim]} |" in shown, claim
    assert set(SHORT) == set(selected(judged))


def test_gains_more_or_loses_less_says_what_simclr_itself_does():
    """ "Gains more" may be said only where SimCLR's own gain has an interval above 0."""
    for one in judge_all():
        if one.claim.sides:
            mean, width = one.sides["SimCLR"]
            gains = mean - width > 0
            assert ("gains more" in one.claim.text) == gains, (one.claim.id, one.data)
            assert ("loses less" in one.claim.text) != gains, (one.claim.id, one.data)


def test_findings_on_the_command_line(tiny_study, tmp_path, capsys):
    out = tmp_path / "table.csv"
    asked = [
        "findings",
        "tiny",
        "--data",
        "shapes",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--out",
        str(out),
    ]
    assert main([*asked, "--no-progress"]) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["temperature"] for row in rows] == ["0.1", "0.5"]
    assert all(
        row[name]
        for row in rows
        for name in ("seed", "minutes", "settings", "hardware", "torch", "source")
    )
    capsys.readouterr()
    for wrong, message in (
        (asked, "already holds a study; add --resume"),
        (
            ["findings", "nonsense", "--out", str(tmp_path / "x.csv")],
            "unknown study 'nonsense'; choose composition, color, head",
        ),
        ([*asked, "--resume", "--data", "sky"], "unknown data 'sky'; choose photos, shapes"),
        ([*asked, "--resume", "--seeds", "0"], "at least 1 seed and 1 worker, not 0 and 1"),
        (
            [
                "findings",
                "head",
                "--photos",
                str(tmp_path / "none.zip"),
                "--out",
                str(tmp_path / "y"),
                "--workers",
                "1",
                "--no-progress",
            ],
            "none.zip",
        ),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    assert main([*asked, "--resume", "--no-progress"]) == 0
    assert not (tmp_path / "x.csv").exists()
    assert not (tmp_path / "y").exists()


def test_a_rerun_names_one_cell(monkeypatch):
    asked = []
    monkeypatch.setattr(
        findings, "run_cell", lambda cell, progress: asked.append(cell) or [{"probe": 0.5}]
    )
    assert findings.rerun("temperature", seed=3, L2="yes", temperature="0.5") == {"probe": 0.5}
    findings.rerun("head", seed=3, head="linear", length_of_z="32")
    assert [
        (cell.data, cell.settings.temperature, cell.settings.head_dim, cell.settings.seed)
        for cell in asked
    ] == [("shapes", 0.5, 128, 3), ("shapes", 0.1, 32, 3)]
    with pytest.raises(
        ValueError, match=r"3 cells of temperature on shapes have .*L2, temperature"
    ):
        findings.rerun("temperature", seed=3, L2="no")


def test_curves_are_means_over_seeds_with_their_intervals():
    rows = [
        {"x": x, "by": "a", "probe": str(value), "data": "shapes"}
        for x, value in (("1", 0.5), ("2", 0.6), ("1", 0.7))
    ] + [{"x": "1", "by": "a", "probe": "0.9", "data": "photos"}]
    found = curves(rows, "x", "by", data="shapes")
    (first, mean, width), (second, *_) = found["a"]
    assert (first, second, mean) == ("1", "2", pytest.approx(60))
    assert width == pytest.approx(12.706 * 10, rel=1e-3), (
        "t with one degree of freedom times the standard error"
    )
    fig = draw_curves(
        {"here": found, "paper": {"a": [("1", 55.0, math.nan)]}}, "x", "y", {"here": ("2", 61.0)}
    )
    here, paper = fig.axes
    assert [text.get_text() for text in here.get_xticklabels()] == ["1", "2"]
    star = here.lines[-1]
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([1], [61.0])
    assert paper.get_title(loc="left") == "paper"


@pytest.mark.parametrize("study", ["color", "head", "batch_epochs", "temperature"])
def test_panels_show_our_means_beside_the_papers_figures(study):
    rows = [{name: str(value) for name, value in row.items()} for row in made_rows(study)]
    found, *_ = panels(study, rows)
    ours, paper = (
        [panel for title, panel in found.items() if title.startswith(start)]
        for start in ("photos", "ImageNet")
    )
    # made from the paper's: means over seeds lie 3 above it
    for panel, our in zip(paper, ours, strict=False):
        for name, curve in panel.items():
            mine = {place: mean for place, mean, _ in our[_our_name(name)]}
            shared = [(mine[place], value) for place, value, _ in curve if place in mine]
            if study == "batch_epochs":  # other batches, the same order
                shared = [
                    (mean, value) for mean, (_, value, _) in zip(mine.values(), curve, strict=False)
                ]
                if our is ours[1]:  # whose largest batch is the one run of both scalings
                    shared[-1] = (
                        shared[-1][0],
                        TABLE_B1["linear"][3][PAPER_LENGTHS.index(int(name.split()[0]))],
                    )
            assert len(shared) >= 4
            shift = 0 if name == "pairs found" else 3
            assert [mean for mean, _ in shared] == pytest.approx(
                [value + shift for _, value in shared]
            )
    if study == "head":
        assert [(place, round(mean, 2)) for place, mean, _ in ours[0]["z = g(h)"]] == [
            ("none", 38.0),
            ("linear", 48.25),
            ("nonlinear", 51.25),
        ]
    if study == "batch_epochs":
        assert list(found) == [
            "photos, here",
            "photos, root scaling",
            "photos, supervised",
            "shapes, here",
            "ImageNet, Table B.1",
            "ImageNet, root scaling",
        ]
        root = found["photos, root scaling"][_our_name(f"{PAPER_LENGTHS[0]} epochs")]
        assert [(place, round(mean, 1)) for place, mean, _ in root] == [
            ("32", 65.8),
            ("64", 66.8),
            ("128", 67.3),
            ("256", 67.0),
        ], "at 256 root scaling has no run of its own"
        assert {
            round(mean) for curve in found["photos, supervised"].values() for _, mean, _ in curve
        } == {79}


def _our_name(name: str) -> str:
    lengths = dict(zip(PAPER_LENGTHS, LENGTHS, strict=True))
    if not name.endswith("epochs"):
        return name
    epochs = lengths[int(name.split()[0])]
    return f"{epochs} epoch" if epochs == 1 else f"{epochs} epochs"


def test_there_are_no_curves_of_what_is_asked():
    with pytest.raises(ValueError, match="no curves of 'knowledge'"):
        panels("knowledge", [])
    shown, *_ = panels("composition", made_rows("composition"))
    assert [place for place, *_ in shown["shapes, here"]["colour first"]][2:4] == [
        "colour",
        "Sobel",
    ]


def test_a_guess_is_kept_and_met_by_the_result(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    first = Prediction("which", "Which?", ("this", "that"))
    assert first.guess is None
    assert first.reveal("that") == "You made no guess. Measured: that."
    first.choice.value = "this"
    again = Prediction("which", "Which?", ("this", "that"))
    assert again.reveal("that") == "Your guess: this. Measured: that."
    (tmp_path / "guesses.json").write_text("broken")
    assert Prediction("which", "Which?", ("this", "that")).guess is None
    monkeypatch.setenv("COURSE_DATA", "/proc/nowhere")
    here = Prediction("which", "Which?", ("this", "that"))
    here.choice.value = "that"
    assert here.guess == "that", "a folder that cannot be written loses nothing now"


def test_the_heat_map_shows_the_table_and_the_views_of_the_pair():
    rows = made_rows("composition")
    for row in rows:
        row["neighbors"] = json.dumps([[1, 2, 3, 4]] * 6) if row["data"] == "shapes" else ""
    explorer = CompositionExplorer(rows)
    assert "shapes, crop then colour: a linear probe classifies 59.3% ± 7.5%" in explorer.text
    assert "crop alone 36.1%, colour alone 21.8%" in explorer.text
    assert explorer.text.endswith("number 1 of 49.")
    before = explorer.image.value
    explorer.press(explorer.again)
    explorer.redraw()
    assert explorer.image.value != before, "other views are drawn"
    explorer.data.value, explorer.first.value, explorer.second.value = "photos", "sobel", "sobel"
    assert "photos, Sobel alone: a linear probe classifies 7.0%" in explorer.text


def test_the_heat_map_shows_an_untrained_encoder_of_the_same_protocol():
    explorer = CompositionExplorer()
    assert explorer.data.value == "shapes"
    assert "An untrained encoder reaches 21.9%: 23 of 49 cells lie below it." in explorer.text
    untrained, cells = read_results("findings_untrained"), read_results("findings_composition")
    for data in ("photos", "shapes"):
        made = {
            (row["images"], row["test_images"], row["source"])
            for row in cells
            if row["data"] == data
        }
        assert made == {
            (row["images"], row["test_images"], row["source"])
            for row in untrained
            if row["data"] == data
        }
    row = score_untrained("shapes", 0)
    (shipped,) = (each for each in untrained if each["data"] == "shapes" and each["seed"] == "0")
    assert row["probe"] == pytest.approx(float(shipped["probe"]), abs=0.01)
