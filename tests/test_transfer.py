"""The three options: what is frozen stays frozen, choices never see test images, and nothing is
measured twice.
"""

import copy
import csv
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from helpers import transfer
from helpers.__main__ import main
from helpers.data import ImageSet, load, nested_subset
from helpers.evaluation import extract_features, map_2d
from helpers.fine_tuning import layer_rates, parameters, train_steps, usual_steps
from helpers.models import build_encoder
from helpers.runtime import Cost
from helpers.simclr import load_pretrained
from helpers.transfer import (
    GRIDS,
    classify_embeddings,
    compare,
    fine_tune,
    fingerprint,
    train_from_scratch,
    train_last_layers,
)


@pytest.fixture(scope="module")
def parts():
    """Three classes that even a random encoder can tell apart: pictures whose brightness grows with
    the class.
    """

    def images(count, seed):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 3
        noise = torch.randint(0, 60, (count, 3, 32, 32), generator=generator)
        return ImageSet(
            f"made/{seed}",
            (noise + 70 * labels[:, None, None, None]).byte(),
            labels,
            ("a", "b", "c"),
        )

    return images(90, 0), images(45, 1), images(60, 2)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return build_encoder("tiny").eval()


def test_labels_are_nested_stratified_and_a_matter_of_the_seed():
    labels = load("shapes", "train").labels
    small, large = nested_subset(labels, 7, seed=3), nested_subset(labels, 50, seed=3)
    assert labels[small].bincount().tolist() == [7] * 10
    assert labels[large].bincount().tolist() == [50] * 10
    assert set(small.tolist()) < set(large.tolist())
    assert not torch.equal(small, nested_subset(labels, 7, seed=4))
    assert torch.equal(nested_subset(labels, None), torch.arange(len(labels)))


def test_a_fingerprint_sees_weights_and_running_statistics(encoder):
    before = fingerprint(encoder)
    encoder(torch.rand(4, 3, 32, 32))
    assert fingerprint(encoder) == before
    encoder.train()(torch.rand(4, 3, 32, 32))
    moved = fingerprint(encoder.eval())
    assert moved != before
    with torch.no_grad():
        next(encoder.parameters())[0] += 1e-6
    assert fingerprint(encoder) != moved


def test_options_2_and_3_leave_the_encoder_as_it_was(encoder, parts):
    train, val, _ = parts
    # in training mode: an option must not rely on what it is given
    before = fingerprint(encoder.train())
    for way, how in (
        (train_last_layers, {"steps": 20}),
        (classify_embeddings, {}),
        (train_last_layers, {"steps": 20, "augment": "color"}),
    ):
        fitted = way(encoder, train, val, **how)
        assert fitted.fingerprints == (before, before)
        assert fingerprint(fitted.encoder) == fingerprint(encoder) == before
        assert encoder.training, "and in the mode in which it was"
        assert not fitted.encoder.training


def test_the_batchnorm_bug_moves_statistics_of_a_copy_and_no_weight(encoder, parts):
    before, weights = fingerprint(encoder), [p.clone() for p in encoder.parameters()]
    fitted = train_last_layers(encoder, *parts[:2], steps=20, encoder_mode="train")
    assert fitted.fingerprints[0] == before != fitted.fingerprints[1]
    assert fingerprint(encoder) == before
    assert all(torch.equal(p, q) for p, q in zip(weights, fitted.encoder.parameters(), strict=True))


def test_option_1_moves_every_layer_of_a_copy(encoder, parts):
    before = copy.deepcopy(encoder.state_dict())
    # frozen for another option before
    fitted = fine_tune(encoder.requires_grad_(False), *parts[:2], steps=120)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert not any(
        torch.equal(p, q)
        for p, q in zip(encoder.parameters(), fitted.encoder.parameters(), strict=True)
    )
    assert fitted.parameters == parameters(encoder) + 3 * (encoder.feature_dim + 1)
    assert fitted.accuracy(parts[2]) > 0.8


def test_from_scratch_uses_no_weight_of_the_encoder(encoder, parts):
    torch.manual_seed(9)
    other = build_encoder("tiny").eval()
    one, same = (train_from_scratch(net, *parts[:2], steps=20, seed=1) for net in (encoder, other))
    assert fingerprint(one.encoder) == fingerprint(same.encoder)
    assert fingerprint(
        train_from_scratch(encoder, *parts[:2], steps=20, seed=2).encoder
    ) != fingerprint(one.encoder)


def test_lower_layers_learn_more_slowly(encoder):
    groups = layer_rates(encoder, 1.0, 0.5)
    assert [group["lr"] for group in groups] == [
        0.5**k for k in (5, 4, 3, 2, 1)
    ]  # two convolutions, three blocks
    assert sum(p.numel() for group in groups for p in group["params"]) == parameters(encoder)
    assert groups[0]["params"][0].shape == (32, 3, 4, 4)
    assert len(layer_rates(build_encoder("resnet18"), 1.0, 0.5)) == 5


def test_embeddings_are_classified_as_scikit_learn_does(encoder, parts):
    train, val, test = parts
    features = [extract_features(encoder, part.images).numpy() for part in parts]
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300, tol=1e-3))
    reference.fit(features[0], train.labels.numpy())
    fitted = classify_embeddings(
        encoder, train, val, classifier="logistic regression", strength=0.1
    )
    assert (
        fitted.classify(torch.from_numpy(features[2])).tolist()
        == reference.predict(features[2]).tolist()
    )
    assert fitted.val_accuracy == pytest.approx(reference.score(features[1], val.labels.numpy()))
    assert fitted.parameters == 3 * (encoder.feature_dim + 1)
    for classifier, strength in (("linear SVM", 0.01), ("kNN", 5), ("random forest", 20)):
        assert (
            classify_embeddings(
                encoder, train, val, classifier=classifier, strength=strength
            ).accuracy(test)
            > 0.9
        )


@pytest.mark.parametrize("hidden", [0, 32])
def test_last_layers_learn_what_can_be_told_apart(encoder, parts, hidden):
    fitted = train_last_layers(encoder, *parts[:2], hidden=hidden, steps=100)
    assert fitted.accuracy(parts[2]) > 0.95
    width = encoder.feature_dim
    assert fitted.parameters == (
        3 * (width + 1) if not hidden else hidden * (width + 1) + 3 * (hidden + 1)
    )


def test_training_keeps_the_step_that_was_best_on_validation():
    net, seen = nn.Linear(2, 2), []
    scores = iter([0.1, 0.5, 0.9, 0.9, 0.2, 0.3, 0.1, 0.1, 0.9, 0.1])

    def score():
        seen.append(net.weight.detach().clone())
        return next(scores)

    groups = [{"params": list(net.parameters()), "lr": 0.1}]
    best = train_steps(
        net,
        groups,
        lambda rows, _: net(torch.rand(len(rows), 2)),
        score,
        torch.arange(20) % 2,
        150,
        0,
    )
    assert best == 0.9
    assert len(seen) == 8, "it looks every 10 steps, and stops after 5 looks without a gain"
    assert torch.equal(net.weight, seen[3]), "of equals the one that trained longer"


def test_every_option_has_the_same_budget():
    assert {len(grid) for grid in GRIDS.values()} == {8}
    assert all(
        len({str(sorted(choice.items())) for choice in grid}) == 8 for grid in GRIDS.values()
    ), "one tried twice"
    assert [usual_steps(count) for count in (20, 1000, 5000, 10**6)] == [300, 300, 1171, 6000]


def test_no_choice_sees_a_test_label_and_all_options_get_the_same_images(
    encoder, parts, monkeypatch
):
    given = []
    for option, real in list(transfer.RUN.items()):
        monkeypatch.setitem(
            transfer.RUN,
            option,
            lambda f, train, val, real=real, option=option, **how: (
                given.append((option, train.images.sum().item(), val.images.sum().item())),
                real(f, train, val, **how),
            )[1],
        )
    options = {"labels": (5,), "seeds": 2, "tries": 2, "steps": 6, "progress": False}
    train, val, test = parts
    rows = compare(encoder, train, val, test, **options)
    wrong = ImageSet(test.name, test.images, test.labels.roll(1), test.classes)
    scrambled = compare(encoder, train, val, wrong, **options)
    kept = ("option", "seed", "choice", "val_accuracy", "after")
    assert [[row[name] for name in kept] for row in rows] == [
        [row[name] for name in kept] for row in scrambled
    ]
    assert rows[-1]["accuracy"] > scrambled[-1]["accuracy"] + 0.2
    assert {option for option, *_ in given} == {"scratch", "1", "2", "3"}
    assert len({images for _, *images in given for images in [tuple(images)]}) == 2, (
        "one choice of images a seed"
    )
    assert all(
        row["train_images"] == row["val_images"] == 15 and row["test_images"] == 60 for row in rows
    )
    for row in rows:
        assert (row["before"] == row["after"]) == (row["option"] in ("2", "3"))


def test_validation_chooses_and_test_is_read_once(encoder, parts, monkeypatch):
    asked = []

    def option(encoder, train, val, *, strength, seed, features=None):
        fitted = transfer.Fitted(
            encoder, None, {0.1: 0.2, 1.0: 0.9, 2.0: 0.5}[strength], 0, ("", ""), 1.0
        )
        fitted.accuracy = lambda images: (
            asked.append(strength) or {0.1: 0.9, 1.0: 0.3, 2.0: 0.6}[strength]
        )
        return fitted

    monkeypatch.setitem(transfer.RUN, "3", option)
    monkeypatch.setitem(GRIDS, "3", [{"strength": s} for s in (0.1, 1.0, 2.0)])
    (row,) = compare(encoder, *parts, labels=(5,), options=("3",), seeds=1, progress=False)
    assert (row["choice"], row["val_accuracy"], row["accuracy"]) == ('{"strength": 1.0}', 0.9, 0.3)
    assert asked == [1.0]


def test_features_known_already_are_those_of_the_images_with_labels(encoder, parts):
    given = []
    real = transfer.RUN["3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            transfer.RUN,
            "3",
            lambda net, train, val, **how: (
                given.append((how["features"], train, val)),
                real(net, train, val, **how),
            )[1],
        )
        compare(encoder, *parts, labels=(5,), options=("3",), seeds=1, tries=1, progress=False)
    known, train, val = given[0]
    for found, part in zip(known, (train, val), strict=True):
        torch.testing.assert_close(
            found, extract_features(encoder, part.images), rtol=0.02, atol=0.02
        )


def test_known_rows_are_kept_and_not_made_again(encoder, parts, monkeypatch):
    options = {"options": ("3",), "tries": 1, "progress": False}
    first = compare(encoder, *parts, labels=(5, 10), seeds=2, **options)
    kept = [
        {name: str(value) for name, value in row.items()} for row in first[:3]
    ]  # as a CSV file gives them
    calls = []
    real = transfer.RUN["3"]
    monkeypatch.setitem(transfer.RUN, "3", lambda *a, **k: (calls.append(k), real(*a, **k))[1])
    seen = []
    rows = compare(
        encoder,
        *parts,
        labels=(10,),
        seeds=3,
        known=kept,
        keep=lambda all_: seen.append(len(all_)),
        **options,
    )
    assert [(row["labels"], int(row["seed"])) for row in rows] == [
        ("5", 0),
        ("5", 1),
        ("10", 0),
        ("10", 1),
        ("10", 2),
    ]
    assert seen == [4, 5], (
        "what is kept holds the rows that were not asked for, and those that come later"
    )
    assert len(calls) == 4, "one try and the final fit of each row that was missing"
    assert float(rows[3]["accuracy"]) == first[3]["accuracy"]


def test_rows_of_another_encoder_target_or_search_are_refused(encoder, parts):
    options = {"labels": (5,), "options": ("3",), "seeds": 1, "tries": 1, "progress": False}
    known = compare(encoder, *parts, **options)
    torch.manual_seed(9)
    for net, images, how, message in (
        (build_encoder("tiny"), parts, {}, "encoder_fingerprint"),
        (encoder, parts, {"tries": 2}, "tries 1, not 2"),
        (encoder, (parts[1], parts[0], parts[2]), {}, "images"),
        (encoder, (parts[0], parts[1].subset(torch.arange(44)), parts[2]), {}, "images"),
        (encoder, parts, {"search_each_seed": False}, "search 'each seed'"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(net, *images, known=known, **{**options, **how})


def test_the_same_option_or_number_twice_counts_once(encoder, parts):
    rows = compare(
        encoder, *parts, labels=(5, 5), options=("3", "3"), seeds=2, tries=1, progress=False
    )
    assert len(rows) == 2


def test_the_first_seeds_choice_can_serve_all(encoder, parts):
    rows = compare(
        encoder,
        *parts,
        labels=(5,),
        options=("3",),
        seeds=3,
        search_each_seed=False,
        progress=False,
    )
    assert [row["tried"] for row in rows] == [8, 1, 1]
    assert len({row["choice"] for row in rows}) == 1


def test_wrong_targets_are_told_in_a_line(encoder, parts):
    train, val, test = parts
    with pytest.raises(
        ValueError, match="31 labels per class were asked for, but a class has only 30 images"
    ):
        compare(encoder, train, val, test, labels=(31,))
    with pytest.raises(
        ValueError, match=r"'embed, classify' has none yet for 5 labels: give seed 0 first"
    ):
        compare(
            encoder,
            train,
            val,
            test,
            labels=(5,),
            options=("3",),
            seeds=(1,),
            search_each_seed=False,
            progress=False,
        )
    with pytest.raises(ValueError, match="unknown option '4'"):
        compare(encoder, train, val, test, options=("4",))
    with pytest.raises(ValueError, match="has no labels"):
        compare(encoder, ImageSet("x/train", train.images), val, test)
    with pytest.raises(ValueError, match="made/1 has no image of class 'b'"):
        compare(encoder, train, val.subset((val.labels != 1).nonzero()[:, 0]), test)
    with pytest.raises(ValueError, match="one class only, 'a'"):
        fine_tune(encoder, train.only(("a",)), val.only(("a",)))
    with torch.no_grad():
        next(encoder.parameters()).fill_(math.nan)
    for way in (fine_tune, train_last_layers, classify_embeddings):
        with pytest.raises(ValueError, match="NaN or infinite"):
            way(encoder, train, val)


def test_classes_can_be_held_out():
    whole = load("shapes", "val")
    some = whole.only(("star", "disc"))
    assert some.classes == ("star", "disc")
    assert set(some.labels.tolist()) == {0, 1}
    assert torch.equal(
        some.images[some.labels == 0], whole.images[whole.labels == whole.classes.index("star")]
    )
    assert len(some.factors["hue"]) == len(some)
    with pytest.raises(ValueError, match="no class 'cat'"):
        whole.only(("cat",))


@pytest.mark.parametrize("method", ["PCA", "t-SNE"])
def test_a_map_keeps_groups_together(method):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    places = map_2d(
        torch.randn(60, 8, generator=generator) + 9 * nn.functional.one_hot(labels, 8), method
    )
    assert places.shape == (60, 2)
    assert places.min() == -1
    assert places.max() == 1
    nearest = (torch.cdist(places, places) + 9 * torch.eye(60)).argmin(dim=1)
    assert (labels[nearest] == labels).float().mean() > 0.95


def test_cost_has_no_memory_where_the_system_does_not_tell_it(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with Cost() as cost:
        pass
    assert cost.seconds >= 0
    assert math.isnan(cost.mebibytes)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told on Linux and on GPUs only")
def test_cost_tells_the_peak_and_not_what_is_left():
    with Cost() as cost:
        big = np.ones(25 * 2**20)  # 200 MiB
        del big
    assert 190 < cost.mebibytes < 260
    blocks = [bytearray(2**16) for _ in range(3200)]
    last = bytearray(2**16)  # above them: what is freed below it stays with the process
    del blocks
    with Cost() as cost:
        pass
    assert cost.mebibytes < 20, "what was in use before is none of its own"
    assert len(last) == 2**16


def folder(path, counts, mode="RGB", side=32):
    for k, (name, count) in enumerate(counts.items()):
        (path / name).mkdir(parents=True)
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 60, (side, side)) + 60 * k
            Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(
                path / name / f"{index}.png"
            )
    return path


QUICK = ["transfer", "--encoder", "shapes-tiny", "--seeds", "2", "--tries", "1", "--no-progress"]


@pytest.mark.parametrize(("mode", "side"), [("L", 32), ("RGB", 500)])
def test_the_command_makes_the_table_of_a_folder_and_goes_on_with_it(tmp_path, capsys, mode, side):
    photos, out = (
        folder(tmp_path / "photos", {"dark": 20, "light": 20}, mode, side),
        tmp_path / "table.csv",
    )
    command = [*QUICK, "--data", str(photos), "--labels", "5", "--out", str(out)]
    assert main([*command, "--options", "2,3"]) == 0
    printed = capsys.readouterr().out
    assert "| 5 | 2 | train last layers |" in printed
    assert "did not move" in printed
    rows = list(csv.DictReader(out.open()))
    assert [(row["option"], row["seed"]) for row in rows] == [
        ("2", "0"),
        ("2", "1"),
        ("3", "0"),
        ("3", "1"),
    ]
    assert main([*command, "--options", "3"]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main([*command, "--options", "3", "--tries", "2", "--resume"]) == 2
    assert "were made with tries '1', not 2" in capsys.readouterr().err
    assert main([*command, "--options", "3", "--resume"]) == 0
    assert list(csv.DictReader(out.open())) == rows, "nothing is lost and nothing made again"


@pytest.mark.parametrize(
    ("counts", "extra", "message"),
    [
        ({"a": 20, "b": 1}, [], "fewer than 3 images"),
        ({"a": 20}, [], "has no labels: put the images into at least two folders"),
        ({"": 20}, [], "has no labels: put the images into at least two folders"),
        (
            {"a": 20, "b": 10},
            ["--labels", "50"],
            "50 labels per class were asked for, but a class has only 7 images",
        ),
        ({"a": 20, "b": 20}, ["--labels", "few"], "not 'few'"),
        ({"a": 20, "b": 20}, ["--labels", "0"], "not '0'"),
        ({"a": 20, "b": 20}, ["--options", "5"], "unknown option '5'"),
        ({"a": 20, "b": 20}, ["--encoder", "nobody"], "no encoder 'nobody'"),
        ({"a": 20, "b": 20}, ["--seeds", "0"], "at least 1 seed"),
        ({"a": 20, "b": 20}, ["--tries", "9"], "1 to 8 tries"),
    ],
)
def test_a_bad_target_is_one_line(tmp_path, capsys, counts, extra, message):
    photos, out = folder(tmp_path / "photos", counts), tmp_path / "table.csv"
    labels = [] if "--labels" in extra else ["--labels", "3"]
    assert main([*QUICK, "--data", str(photos), "--out", str(out), *labels, *extra]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("python -m helpers transfer: ")
    assert message in error
    assert "\n" not in error
    assert not out.exists()


def test_an_encoder_that_diverged_is_one_line(tmp_path, capsys):
    photos, found = folder(tmp_path / "photos", {"a": 20, "b": 20}), load_pretrained("shapes-tiny")
    with torch.no_grad():
        next(found.encoder.parameters()).fill_(math.nan)
    found.save(tmp_path / "diverged.safetensors")
    for option in ("1", "2", "3"):
        assert (
            main(
                [
                    "transfer",
                    "--encoder",
                    str(tmp_path / "diverged.safetensors"),
                    "--data",
                    str(photos),
                    "--labels",
                    "3",
                    "--options",
                    option,
                    "--out",
                    str(tmp_path / "table.csv"),
                    "--no-progress",
                ]
            )
            == 2
        )
        error = capsys.readouterr().err.strip()
        assert "NaN or infinite" in error
        assert "\n" not in error
