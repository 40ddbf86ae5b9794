"""The three ways to use a pretrained encoder, the baseline from scratch, and an honest comparison of them.

Option 1 trains all layers, option 2 freezes the encoder and trains last layers, option 3 embeds the images and trains a
new classifier on the vectors. None of them is given a test image: `compare` reads those once, after every choice.
"""

import copy
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn
from tqdm import tqdm

from helpers.artifacts import sha256_of
from helpers.data import ImageSet
from helpers.evaluation import extract_features
from helpers.networks import augmentation, make_head, parameters, train_all, train_steps
from helpers.runtime import Cost, hardware, pick_device

OPTIONS = {"scratch": "from scratch", "1": "train all layers", "2": "train last layers", "3": "embed, classify"}
FROZEN = ("2", "3")
# What may be chosen on validation: the same number of configurations for each option, the most different ones first.
GRIDS = {
    "scratch": [{"lr": lr, "augment": a} for a, lr in (
        ("gentle", 2e-3), ("colour", 1e-3), ("gentle", 5e-4), ("colour", 4e-3), ("colour", 2e-3), ("gentle", 1e-3),
        ("colour", 5e-4), ("gentle", 4e-3))],
    "1": [{"lr": lr, "layer_decay": d, "augment": a} for a, d, lr in (
        ("gentle", 0.5, 2e-3), ("colour", 1.0, 5e-4), ("gentle", 1.0, 2e-3), ("colour", 0.5, 2e-3),
        ("gentle", 1.0, 5e-4), ("colour", 1.0, 2e-3), ("gentle", 0.5, 5e-4), ("colour", 0.5, 5e-4))],
    "2": [{"hidden": h, "weight_decay": w} for h, w in (
        (0, 0.1), (256, 0.1), (0, 1.0), (256, 1.0), (0, 0.001), (256, 0.001), (0, 10.0), (256, 10.0))],
    "3": [{"classifier": c, "strength": s} for c, s in (
        ("logistic regression", 0.01), ("linear SVM", 0.001), ("kNN", 5), ("random forest", 300),
        ("logistic regression", 0.1), ("linear SVM", 0.0001), ("kNN", 20), ("logistic regression", 0.001))]}


@dataclass
class Fitted:
    """What an option leaves: an encoder and what tells the class from its features, and what that took.

    Attributes:
        encoder: Maps images to features (N, D), in eval mode on the CPU.
        classify: Maps features (N, D) to labels (N,).
        val_accuracy: On the validation images it was given: of the step that was kept, where there are steps.
        parameters: How many numbers were trained.
        fingerprints: The encoder's before and after.
        seconds: What it took.
        mebibytes: Peak memory above what was in use before; nan where it cannot be known.
    """

    encoder: nn.Module
    classify: Callable[[Tensor], Tensor]
    val_accuracy: float
    parameters: int
    fingerprints: tuple[str, str]
    seconds: float = math.nan
    mebibytes: float = math.nan

    def accuracy(self, images: ImageSet) -> float:
        """Return the share of the images whose label is told."""
        return (self.classify(extract_features(self.encoder, images.images)) == images.labels).float().mean().item()


def fingerprint(module: nn.Module) -> str:
    """Return 12 hex digits of all parameters and buffers (BatchNorm's statistics too): equal if nothing moved."""
    return sha256_of(*(tensor.cpu() for tensor in module.state_dict().values()))[:12]


def train_from_scratch(encoder: nn.Module, train: ImageSet, val: ImageSet, *, lr: float = 2e-3,
                       augment: str = "gentle", steps: int | None = None, seed: int = 0) -> Fitted:
    """Train a new encoder of the same architecture, its weights drawn anew, with a linear layer on top.

    Args:
        encoder: Gives the architecture; none of its weights is used.
        train, val: With labels; val decides when to stop.
        lr: Peak learning rate.
        augment: One of AUGMENTATIONS.
        steps: At most; `usual_steps` where not given.
        seed: Chooses weights, order and views.

    Raises:
        ValueError: If there are no labels, or a single class.
    """
    torch.manual_seed(seed)
    fresh = copy.deepcopy(encoder)
    for module in fresh.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return _train_all(fresh, train, val, False, lr=lr, layer_decay=1.0, augment=augment, steps=steps, seed=seed)


def fine_tune(encoder: nn.Module, train: ImageSet, val: ImageSet, *, lr: float = 2e-3, layer_decay: float = 0.5,
              augment: str = "gentle", steps: int | None = None, seed: int = 0) -> Fitted:
    """Option 1: train all layers of a copy of the encoder, with a linear layer on top.

    Args:
        encoder: The pretrained one; it stays as it is.
        train, val: With labels; val decides when to stop.
        lr: Peak learning rate of the linear layer.
        layer_decay: Each layer below learns at this many times the rate of the one above (1: all at the same).
        augment, steps, seed: See `train_from_scratch`.

    Raises:
        ValueError: If there are no labels, or a single class.

    Source: Howard and Ruder 2018 for the rates that fall with depth.
    """
    torch.manual_seed(seed)
    return _train_all(copy.deepcopy(encoder), train, val, True, lr=lr, layer_decay=layer_decay, augment=augment,
                      steps=steps, seed=seed)


def _train_all(encoder: nn.Module, train: ImageSet, val: ImageSet, standardize: bool, **how) -> Fitted:
    _check(train, val)
    before = fingerprint(encoder)
    with Cost(pick_device()) as cost:
        some = extract_features(encoder, train.images[:2000])
        _check_finite(some)
        head = make_head(some, len(train.classes), standardize=standardize)
        best = train_all(encoder, head, train, val, **how)
    return Fitted(encoder, _argmax(head), best, parameters(encoder, head), (before, fingerprint(encoder)),
                  cost.seconds, cost.mebibytes)


def train_last_layers(encoder: nn.Module, train: ImageSet, val: ImageSet, *, hidden: int = 0, weight_decay: float = 0.1,
                      augment: str | None = None, encoder_mode: str = "eval", steps: int = 600, seed: int = 0,
                      features: tuple[Tensor, Tensor] | None = None) -> Fitted:
    """Option 2: freeze the encoder and train a linear layer, or a small MLP, on its features.

    Args:
        encoder: The pretrained one; it stays as it is.
        train, val: With labels; val decides when to stop.
        hidden: Width of the MLP's hidden layer; 0 is a linear layer.
        weight_decay: AdamW's.
        augment: One of AUGMENTATIONS: views pass the encoder at each step. None: features are computed once.
        encoder_mode: "train" is a classic bug, kept for the lesson: no parameter moves, but BatchNorm normalises by
            each batch and its running statistics move (in a copy). It needs images at each step, as views do.
        steps, seed: See `train_from_scratch`.
        features: Of train and val, where they are known already.

    Raises:
        ValueError: If there are no labels, a single class, or features that are not finite.
    """
    _check(train, val)
    before = fingerprint(encoder)
    with Cost() as cost:
        torch.manual_seed(seed)
        frozen = encoder if encoder_mode == "eval" else copy.deepcopy(encoder)
        known, asked = features or [extract_features(encoder, part.images) for part in (train, val)]
        _check_finite(known)
        head = make_head(known, len(train.classes), hidden)
        inputs = known if augment is None and encoder_mode == "eval" else train.images
        views = None if augment is None else augmentation(augment, train)

        def logits(rows: Tensor, generator: torch.Generator) -> Tensor:
            batch = inputs[rows]
            if inputs is train.images:
                batch = batch.float() / 255 if views is None else views(batch, generator)
                with torch.no_grad():
                    batch = frozen.train(encoder_mode == "train")(batch)
                    frozen.eval()
            return head(batch)

        def score() -> float:
            moved = asked if frozen is encoder else extract_features(frozen, val.images)
            return (_argmax(head)(moved) == val.labels).float().mean().item()

        state = nn.ModuleList([head] if frozen is encoder else [head, frozen])
        groups = [{"params": list(head.parameters()), "lr": 3e-3}]
        best = train_steps(state, groups, logits, score, train.labels, steps, seed, weight_decay)
    frozen.eval()
    return Fitted(frozen, _argmax(head), best, parameters(head), (before, fingerprint(frozen)), cost.seconds,
                  cost.mebibytes)


def classify_embeddings(encoder: nn.Module, train: ImageSet, val: ImageSet, *, classifier: str = "logistic regression",
                        strength: float = 0.01, seed: int = 0, features: tuple[Tensor, Tensor] | None = None) -> Fitted:
    """Option 3: embed the images once, and train a scikit-learn classifier on the standardised vectors.

    Args:
        encoder: The pretrained one; it stays as it is.
        train, val: With labels.
        classifier: "logistic regression", "linear SVM", "kNN" or "random forest".
        strength: scikit-learn's C of the first two, neighbours of kNN, trees of the forest.
        seed: Chooses the forest.
        features: Of train and val, where they are known already.

    Raises:
        ValueError: If the classifier is unknown, there are no labels, a single class, or features that are not finite.
    """
    _check(train, val)
    models = {"logistic regression": lambda: LogisticRegression(C=strength, max_iter=300, tol=1e-3),
              "linear SVM": lambda: LinearSVC(C=strength, max_iter=300, tol=1e-3, dual="auto"),
              "kNN": lambda: KNeighborsClassifier(min(int(strength), len(train)), metric="cosine", weights="distance"),
              "random forest": lambda: RandomForestClassifier(int(strength), random_state=seed, n_jobs=-1)}
    if classifier not in models:
        raise ValueError(f"unknown classifier {classifier!r}; choose {', '.join(models)}")
    before = fingerprint(encoder)
    with Cost() as cost:
        known, asked = features or [extract_features(encoder, part.images) for part in (train, val)]
        _check_finite(known)
        model = make_pipeline(StandardScaler(), models[classifier]())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps are the budget
            model.fit(known.numpy(), train.labels.numpy())
        val_accuracy = float(model.score(asked.numpy(), val.labels.numpy()))
    last = model[-1]
    trained = [getattr(last, name).size for name in ("coef_", "intercept_") if hasattr(last, name)]
    if classifier == "random forest":
        trained = [int(tree.tree_.node_count) for tree in last.estimators_]
    return Fitted(encoder.eval(), lambda x: torch.from_numpy(model.predict(np.asarray(x))), val_accuracy,
                  sum(trained), (before, fingerprint(encoder)), cost.seconds, cost.mebibytes)


RUN = {"scratch": train_from_scratch, "1": fine_tune, "2": train_last_layers, "3": classify_embeddings}


def nested_subset(labels: Tensor, per_class: int | None, seed: int = 0) -> Tensor:
    """Return rows with `per_class` images of each class, the first ones of an order that depends on the seed alone.

    A larger choice therefore holds every smaller one. None takes all.

    Raises:
        ValueError: If a class has fewer.
    """
    counts = labels.bincount()
    if per_class is not None and not 1 <= per_class <= counts.min():
        raise ValueError(f"{per_class} labels a class were asked for, but a class has only {counts.min()} images to "
                         f"learn from; ask for 1 to {counts.min()}, or for all")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    taken = [order[labels[order] == k][:per_class] for k in range(len(counts))]
    return torch.cat(taken).sort().values


def compare(encoder: nn.Module, train: ImageSet, val: ImageSet, test: ImageSet, *,
            labels: tuple[int | None, ...] = (10, 50, 100), options: tuple[str, ...] = tuple(OPTIONS), seeds: int = 5,
            tries: int = 8, search_each_seed: bool = True, steps: int | None = None,
            known: list[dict] = (), keep: Callable[[list[dict]], None] | None = None,
            progress: bool = True) -> list[dict]:
    """Return one row for each option, number of labels and seed: accuracy on test, read once, and what it took.

    A seed chooses which images have labels (the same for every option, as many of each class, and among those of the
    next larger number) and all that is drawn in training. There are as many labels to choose with as to learn from, or
    as many as val has. Each option may try the same number of configurations (GRIDS) and takes the best on validation.

    Args:
        encoder: The pretrained one.
        train, val, test: The target task's images with labels.
        labels: Labels a class; None is all.
        options: Keys of OPTIONS.
        seeds: How many.
        tries: How many configurations each option may try.
        search_each_seed: Whether each seed makes its own choice; otherwise the first seed's serves all.
        steps: Of the trainings of networks; `usual_steps` where not given.
        known: Rows that an earlier call left; they are not made again.
        keep: Called with the rows so far after each.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If an option is unknown, labels are missing or too few, or features are not finite.
    """
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; choose {', '.join(OPTIONS)}")
    _check(train, val, test)
    for per_class in labels:
        nested_subset(train.labels, per_class)  # tells at once if there are too few
    features = {}
    if set(options) & set(FROZEN):
        features = {name: extract_features(encoder, part.images)
                    for name, part in (("train", train), ("val", val), ("test", test))}
    cells = list(product(labels, options, range(seeds)))
    done = {(row["labels"], row["option"], int(row["seed"])): row for row in known}
    asked_for = {("all" if n is None else str(n), option, seed) for n, option, seed in cells}
    rows = [row for key, row in done.items() if key not in asked_for]
    for per_class, option, seed in tqdm(cells, desc="comparing", unit="run", disable=not progress):
        written = "all" if per_class is None else str(per_class)
        row = done.get((written, option, seed))
        if row is None:
            ours = nested_subset(train.labels, per_class, seed)
            asked = nested_subset(val.labels, per_class and min(per_class, int(val.labels.bincount().min())), seed)
            parts = train.subset(ours), val.subset(asked)
            first = None if search_each_seed or seed == 0 else json.loads(done[written, option, 0]["choice"])
            given = {"seed": seed}
            if option in FROZEN:
                given["features"] = features["train"][ours], features["val"][asked]
            elif steps is not None:
                given["steps"] = steps
            grid = [first] if first else GRIDS[option][:tries]
            row = {"data": train.name.partition("/")[0], "option": option, "labels": written, "seed": seed,
                   "train_images": len(ours), "val_images": len(asked), "test_images": len(test),
                   **_search(option, encoder, *parts, grid, given, test, features),
                   "hardware": hardware(), "torch": torch.__version__}
            done[written, option, seed] = row
        rows.append(row)
        if keep is not None:
            keep(rows)
    return rows


def _search(option: str, encoder: nn.Module, train: ImageSet, val: ImageSet, grid: list[dict], given: dict,
            test: ImageSet, features: dict[str, Tensor]) -> dict:
    best, seconds = None, 0.0
    for choice in grid:
        fitted = RUN[option](encoder, train, val, **choice, **given)
        seconds += fitted.seconds
        if best is None or fitted.val_accuracy > best[1].val_accuracy:
            best = choice, fitted
    choice, fitted = best
    if option in FROZEN:  # once more from the images, for what it costs without features that are known already
        fitted = RUN[option](encoder, train, val, **choice, **given | {"features": None})
        accuracy = (fitted.classify(features["test"]) == test.labels).float().mean().item()
    else:
        accuracy = fitted.accuracy(test)
    return {"accuracy": accuracy, "val_accuracy": fitted.val_accuracy, "choice": json.dumps(choice),
            "tried": len(grid), "seconds": fitted.seconds, "search_seconds": seconds, "mebibytes": fitted.mebibytes,
            "parameters": fitted.parameters, "before": fitted.fingerprints[0], "after": fitted.fingerprints[1]}


def _check(train: ImageSet, *others: ImageSet) -> None:
    for part in (train, *others):
        if part.labels is None:
            raise ValueError(f"{part.name} has no labels: put the images into at least two folders, one for each class")
    if len(train.classes) < 2:
        raise ValueError(f"{train.name} has one class only, {train.classes[0]!r}: nothing is to be told apart; add "
                         f"images of another")


def _check_finite(features: Tensor) -> None:
    if not features.isfinite().all():
        raise ValueError("some features are NaN or infinite: the encoder's training diverged; take another encoder, or "
                         "train it again with a lower learning rate")


def _argmax(head: nn.Module) -> Callable[[Tensor], Tensor]:
    head.eval()

    def classify(features: Tensor) -> Tensor:
        with torch.no_grad():
            return head(features).argmax(dim=1)
    return classify
