"""Notebook 05: labels chosen fairly, an encoder that is frozen, a probe without leakage."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from helpers.checks.exercise import Case, Exercise, Mistake, NotDone, as_numbers


def _choose(labels: Tensor, per_class: int, seed: int) -> Tensor:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[labels[order] == k][:per_class] for k in range(int(labels.max()) + 1)])


def _facts(function, labels: Tensor) -> dict:
    """What must hold of a choice, whatever it is."""
    answers = [function(labels, n, seed) for n, seed in ((4, 1), (7, 1), (4, 1), (4, 2), (4, 1000))]
    if answers[0] is None or answers[0] is ...:
        raise NotDone
    choices = [as_numbers(answer) for answer in answers]
    for choice in choices:
        if choice is None or choice.ndim != 1:
            return {
                "choice": "not numbers"
                if choice is None
                else f"shape {tuple(choice.shape)} instead of one row"
            }
    if getattr(answers[0], "dtype", None) == torch.bool:
        return {"choice": "yes and no instead of numbers"}
    if _holds_floats(answers[0]):
        return {"choice": "numbers with a fraction (float), which cannot index"}
    few, more, again, other, far = (choice.tolist() for choice in choices)
    if any(not 0 <= row < len(labels) or row != int(row) for row in (*few, *more, *far)):
        return {"choice": "numbers that are no rows"}
    counts, large, last = (
        labels[[int(row) for row in rows]].bincount(minlength=int(labels.max()) + 1).tolist()
        for rows in (few, more, far)
    )
    return {
        "four of each class": "yes"
        if set(counts) == {4}
        else "one class missing"
        if min(counts) == 0
        else "no",
        "seven of each class": "yes" if set(large) == {7} else "no",
        "four of each with seed 1000": "yes" if set(last) == {4} else "no",
        "rows in all": len(few),
        "a row twice": "yes" if len(few) > len(set(few)) else "no",
        "4 a class within 7 a class": "yes" if set(few) <= set(more) else "no",
        "the same again": "yes" if few == again else "no",
        "others with another seed": "yes" if set(few) != set(other) else "no",
    }


def _holds_floats(answer) -> bool:
    if isinstance(answer, Tensor):
        return answer.is_floating_point()
    return any(isinstance(row, (float, np.floating)) for row in answer)


def _classes(labels: Tensor) -> range:
    return range(int(labels.max()) + 1)


def _unstratified(labels: Tensor, per_class: int, seed: int) -> Tensor:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return order[: len(_classes(labels)) * per_class]


def _not_nested(labels: Tensor, per_class: int, seed: int) -> Tensor:
    generator, chosen = torch.Generator().manual_seed(seed + 100 * per_class), []
    for k in _classes(labels):
        rows = (labels == k).nonzero()[:, 0]
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:per_class]])
    return torch.cat(chosen)


def _with_replacement(labels: Tensor, per_class: int, seed: int) -> Tensor:
    generator, chosen = torch.Generator().manual_seed(seed), []
    for k in _classes(labels):
        rows = (labels == k).nonzero()[:, 0]
        chosen.append(rows[torch.randint(3, (100,), generator=generator)[:per_class]])
    return torch.cat(chosen)


def _global_draw(labels: Tensor, per_class: int, seed: int) -> Tensor:
    order = torch.randperm(len(labels))
    return torch.cat([order[labels[order] == k][:per_class] for k in _classes(labels)])


def _within_the_class(labels: Tensor, per_class: int, seed: int) -> Tensor:
    chosen = _choose(labels, per_class, seed)
    return torch.cat(
        [
            ((labels == k).nonzero()[:, 0][:, None] == chosen[labels[chosen] == k]).nonzero()[:, 0]
            for k in _classes(labels)
        ]
    )


LABELS = Exercise(
    "choose_labels",
    "05",
    _choose,
    observe=_facts,
    cases=(
        Case((torch.tensor([0, 1, 2, 0, 0, 1] * 10),), "60 images, 4 and 7 labels per class"),
        Case((torch.tensor([2, 0, 4, 1, 3, 1] * 12).roll(7),), "72 images of five classes"),
    ),
    mistakes=(
        Mistake(
            "not as many of each class",
            "Thirty images chosen from all alike: how many of each class does that give?",
            _unstratified,
        ),
        Mistake(
            "a smaller choice is not part of a larger one",
            "Does the order of your images depend on per_class? One order for all, and the first "
            "ones of it, would nest.",
            _not_nested,
        ),
        Mistake(
            "the seed is not used",
            "Call it twice with one seed: is it the same choice? Which generator does your "
            "shuffle ask?",
            _global_draw,
        ),
        Mistake(
            "the same choice for every seed",
            "Two seeds should give two choices. Where does the seed come in?",
            lambda y, n, s: torch.cat([(y == k).nonzero()[:n, 0] for k in _classes(y)]),
        ),
        Mistake(
            "some images are chosen twice",
            "Does a shuffle ever repeat a card? Drawing with randint does.",
            _with_replacement,
        ),
        Mistake(
            "per_class is taken for all classes together",
            "How many images are 4 a class, of three classes?",
            lambda y, n, s: _choose(y, n, s)[:n],
        ),
        Mistake(
            "one class is left out",
            "Which classes are there? A range ends before its last number.",
            lambda y, n, s: _choose(y, n, s)[:-n],
        ),
        Mistake(
            "places within the class",
            "Image 3 of its class is which image of all? Your numbers count within each class.",
            _within_the_class,
        ),
        Mistake(
            "labels instead of rows",
            "Which images were chosen? Your answer says of which class they are.",
            lambda y, n, s: y[_choose(y, n, s)],
        ),
        Mistake(
            "numbers with a fraction",
            "torch.tensor([]) and torch.zeros(...) hold floats: which dtype do indices have?",
            lambda y, n, s: _choose(y, n, s).float(),
        ),
        Mistake(
            "a mask instead of rows",
            "The rows' numbers should come back. What does nonzero do with a mask?",
            lambda y, n, s: torch.zeros(len(y), dtype=torch.bool).index_fill(
                0, _choose(y, n, s), True
            ),
        ),
    ),
    hints=(
        "Shuffle all rows once, whatever per_class is, by a generator that has the seed.",
        "In that order, take the first per_class rows of each class.",
        "order[labels[order] == k] are the rows of class k in the shuffled order.",
    ),
)


def _net() -> nn.Module:
    """Return a small encoder whose BatchNorm has seen some images."""
    torch.manual_seed(0)
    # as in real encoders, layers in layers
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    net = nn.Sequential(block, nn.Flatten(), nn.Linear(16, 5)).train()
    net(torch.rand(8, 3, 4, 4))
    return net


def _what_moves(function, images: Tensor) -> dict:
    encoder = _net()
    expected = copy.deepcopy(encoder).eval()(images[:1])
    frozen = function(encoder)
    if frozen is None or frozen is ...:
        raise NotDone
    if not isinstance(frozen, nn.Module):
        return {"what comes back": type(frozen).__name__}
    trained = [name for name, weight in frozen.named_parameters() if weight.requires_grad]
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    in_a_batch = frozen(images)[:1]
    moved = [
        name for name, value in frozen.state_dict().items() if not torch.equal(value, before[name])
    ]
    found = copy.deepcopy(frozen).eval()(images[:1])
    alone = found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5)
    return {
        "weights that can be trained": ", ".join(trained) or "none",
        "what a forward pass moves": ", ".join(moved) or "nothing",
        "the encoder that was loaded": "yes" if alone else "another one",
        "an image's features": "its own"
        if found.shape == in_a_batch.shape and torch.allclose(found, in_a_batch, atol=1e-5)
        else "depend on its batch",
    }


def _freeze(encoder: nn.Module) -> nn.Module:
    return encoder.eval().requires_grad_(False)


def _only_convolutions(encoder: nn.Module) -> nn.Module:
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.requires_grad_(False)
    return encoder.eval()


def _momentum(encoder: nn.Module) -> nn.Module:
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    return encoder.requires_grad_(False)


def _untracked(encoder: nn.Module) -> nn.Module:
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
    return encoder.requires_grad_(False)


def _copy(encoder: nn.Module) -> nn.Module:
    _freeze(copy.deepcopy(encoder))
    return encoder


def _anew(encoder: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for module in encoder.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    return _freeze(encoder)


def _all_but_the_last(encoder: nn.Sequential) -> nn.Module:
    encoder[:-1].requires_grad_(False)
    return encoder.eval()


FREEZE = Exercise(
    "freeze",
    "05",
    _freeze,
    observe=_what_moves,
    cases=(
        Case(
            (torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0)),),
            "a small encoder with BatchNorm, in training mode",
        ),
    ),
    mistakes=(
        Mistake(
            "BatchNorm's statistics still move",
            "No gradient is needed for that: in which mode does BatchNorm update its running mean "
            "and variance?",
            lambda f: f.requires_grad_(False),
        ),
        Mistake(
            "the weights can still be trained",
            "eval() changes what layers do, not what an optimiser may change. What tells a weight "
            "that it takes no gradient?",
            lambda f: f.eval(),
        ),
        Mistake(
            "only the convolutions are frozen",
            "Which other layers have weights?",
            _only_convolutions,
        ),
        Mistake(
            "all but the last layer is frozen",
            "Which part of the encoder is still free?",
            _all_but_the_last,
        ),
        Mistake(
            "BatchNorm still counts its batches",
            "With momentum 0 the mean stays, and one number still moves. In which mode does "
            "nothing move?",
            _momentum,
        ),
        Mistake(
            "it still normalises by each batch",
            "No statistic moves any more. But which mean does BatchNorm subtract in this mode: "
            "the one it has learned, or that of the batch?",
            _untracked,
        ),
        Mistake(
            "nothing is frozen in what comes back",
            "Did you freeze a copy, or within a `with` that is over when your function returns? "
            "Look at the object that comes back.",
            _copy,
        ),
        Mistake("the weights are drawn anew", "Is that still the encoder that was trained?", _anew),
    ),
    hints=(
        "Two things can move: weights, by gradients, and BatchNorm's statistics, by forward "
        "passes.",
        "A module's requires_grad_(...) speaks to all of its weights at once.",
        "One mode of a module keeps BatchNorm's statistics as they are: the one that is used for "
        "testing.",
    ),
)


def _ridge(features: Tensor, labels: Tensor, strength: float):
    """Fit a linear classifier, and return a function from features to labels."""
    x = _with_ones(features)
    targets = nn.functional.one_hot(torch.as_tensor(labels)).float()
    weights = torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]) / strength, x.T @ targets)
    return lambda new: (_with_ones(new) @ weights).argmax(dim=1)


def _with_ones(features) -> Tensor:
    """Return features of any kind of array as float32, with a column of ones."""
    features = torch.as_tensor(features, dtype=torch.float32)
    return torch.cat([features, torch.ones(len(features), 1)], dim=1)


def _accuracy(predict, part) -> float:
    return (predict(part[0]) == part[1]).float().mean().item()


def _scaled(parts, by):
    mean, spread = by.mean(dim=0), by.std(dim=0)
    return [((features - mean) / spread, labels) for features, labels in parts]


def _probe(fit, train, val, test, strengths, by=None, choose=1, learn=None, report=2) -> float:
    parts = _scaled((train, val, test), train[0] if by is None else by)
    fitted = [
        fit(*(parts[0] if learn is None else learn(parts)), strength) for strength in strengths
    ]
    best = max(fitted, key=lambda predict: _accuracy(predict, parts[choose]))
    return _accuracy(best, parts[report])


def _each_its_own(fit, train, val, test, strengths) -> float:
    parts = [_scaled((part,), part[0])[0] for part in (train, val, test)]
    fitted = [fit(*parts[0], strength) for strength in strengths]
    return _accuracy(max(fitted, key=lambda predict: _accuracy(predict, parts[1])), parts[2])


def _not_scaled(fit, train, val, test, strengths) -> float:
    fitted = [fit(*train, strength) for strength in strengths]
    return _accuracy(max(fitted, key=lambda predict: _accuracy(predict, val)), test)


def _one_not_scaled(which: int):
    def wrong(fit, train, val, test, strengths) -> float:
        parts = _scaled((train, val, test), train[0])
        parts[which] = (train, val, test)[which]
        fitted = [fit(*parts[0], strength) for strength in strengths]
        return _accuracy(max(fitted, key=lambda predict: _accuracy(predict, parts[1])), parts[2])

    return wrong


def _only_centred(fit, train, val, test, strengths) -> float:
    center = train[0].mean(dim=0)
    train, val, test = ((features - center, labels) for features, labels in (train, val, test))
    return _not_scaled(fit, train, val, test, strengths)


def _with_val(parts):
    return torch.cat([parts[0][0], parts[1][0]]), torch.cat([parts[0][1], parts[1][1]])


def _with_test(parts):
    return torch.cat([parts[0][0], parts[2][0]]), torch.cat([parts[0][1], parts[2][1]])


def _fitted_again(fit, train, val, test, strengths) -> float:
    parts = _scaled((train, val, test), train[0])
    best = max(strengths, key=lambda strength: _accuracy(fit(*parts[0], strength), parts[1]))
    return _accuracy(fit(*_with_val(parts), best), parts[2])


def _split(seed: int):
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(-1.5, 1.5, 24)
    centers = torch.randn(3, 24, generator=generator) * 0.55

    def part(count: int, shift: float):
        labels = torch.arange(count) % 3
        return (
            centers[labels] + shift + 2 * torch.randn(count, 24, generator=generator)
        ) * scales, labels

    return part(45, 0.0), part(60, 0.15), part(90, 0.4)


STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 100.0)
PROBE = Exercise(
    "probe_accuracy",
    "05",
    _probe,
    cases=tuple(
        Case((_ridge, *_split(seed), strengths), f"{words} split into train, val and test")
        for seed, words, strengths in (
            (3, "195 vectors", STRENGTHS),
            (12, "another 195 vectors", STRENGTHS),
            (12, "the same with two strengths,", (1e-4, 100.0)),
        )
    ),
    mistakes=(
        Mistake(
            "fitted again on train and validation",
            "Good practice elsewhere. Here the probe that was chosen is judged as it is: on which "
            "images was it fitted?",
            _fitted_again,
        ),
        Mistake(
            "the test images choose",
            "If test chooses the strength, who is left to judge? Which part is there for choices?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, choose=2),
        ),
        Mistake(
            "the training images choose",
            "On the images that it was fitted to, the least regularised one nearly always looks "
            "best. Which part is there for choices?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, choose=0),
        ),
        Mistake(
            "scaled by all images together",
            "Mean and spread of which images may be known when the probe is trained?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, by=torch.cat([a[0], v[0], t[0]])),
        ),
        Mistake(
            "scaled by train and validation together",
            "Validation is there for choices. Mean and spread of which images may be known when "
            "the probe is trained?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, by=torch.cat([a[0], v[0]])),
        ),
        Mistake(
            "trained on train and validation together",
            "Which images were given to fit, and which were to choose among what was fitted?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, learn=_with_val),
        ),
        Mistake(
            "scaled by train and test together",
            "Mean and spread of which images may be known when the probe is trained?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, by=torch.cat([a[0], t[0]])),
        ),
        Mistake(
            "each part is scaled by itself",
            "A new image comes alone: by which mean and spread is it scaled then?",
            _each_its_own,
        ),
        Mistake(
            "the validation images are not scaled",
            "What was learned from train is used on all. What do the validation images go through?",
            _one_not_scaled(1),
        ),
        Mistake(
            "the test images are not scaled",
            "What was learned from train is used on all. What do the test images go through?",
            _one_not_scaled(2),
        ),
        Mistake(
            "the mean is taken off, the spread stays",
            "Some features are a thousand times larger than others, around a mean of 0, too. What "
            "else does standardising do?",
            _only_centred,
        ),
        Mistake(
            "not scaled at all",
            "Some features are a thousand times larger than others. Which ones does the "
            "regularisation spare?",
            _not_scaled,
        ),
        Mistake(
            "test images are trained on",
            "Which images were given to fit?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, learn=_with_test),
        ),
        Mistake(
            "the accuracy on validation is reported",
            "Validation chose the winner, so its accuracy there is too good. Where is it to be "
            "judged?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s, report=1),
        ),
        Mistake(
            "the first strength is taken",
            "How many of the strengths did you try?",
            lambda f, a, v, t, s: _probe(f, a, v, t, s[:1]),
        ),
    ),
    hints=(
        "Four steps: scale, fit one probe for each strength, choose one, judge it.",
        "Each step may look at one part only: train, train, val, test.",
        "(features − mean) / spread, with mean and spread of the training features, for all three "
        "parts.",
    ),
)


def _mean(rows: list[dict], option: str, column: str) -> float:
    values = [float(row[column]) for row in rows if row["option"] == option]
    return sum(values) / len(values)


def _option(
    rows, seconds, column="val_accuracy", within=True, cost=_mean, best=max, score=_mean
) -> str:
    names = sorted({row["option"] for row in rows})
    allowed = [name for name in names if not within or cost(rows, name, "seconds") <= seconds]
    return best(allowed, key=lambda name: score(rows, name, column))


def _extreme(pick):
    return lambda rows, option, column: pick(
        float(row[column]) for row in rows if row["option"] == option
    )


def _rows(*values) -> list[dict]:
    return [
        {"option": option, "seconds": str(seconds), "val_accuracy": str(v), "accuracy": str(t)}
        for option, seconds, v, t in values
    ]


# Of unequal numbers of rows, mixed, with means that are no medians.
_TABLE = _rows(
    ("scratch", 1, 0.60, 0.61),
    ("1", 50, 0.86, 0.10),
    ("2", 3, 0.74, 0.98),
    ("4", 9, 0.50, 0.58),
    ("scratch", 1, 0.81, 0.60),
    ("5", 5, 0.60, 0.50),
    ("2", 3, 0.64, 0.97),
    ("1", 52, 0.85, 0.12),
    ("4", 9, 0.74, 0.57),
    ("2", 24, 0.78, 0.99),
    ("1", 78, 0.75, 0.11),
    ("4", 9, 0.74, 0.56),
    ("4", 9, 0.78, 0.59),
)


def _total(rows: list[dict], option: str, column: str) -> float:
    return sum(float(row[column]) for row in rows if row["option"] == option)


def _strictly(rows: list[dict], seconds: float) -> str:
    names = [
        name
        for name in sorted({row["option"] for row in rows})
        if _mean(rows, name, "seconds") < seconds
    ]
    return max(names, key=lambda name: _mean(rows, name, "val_accuracy")) if names else "none"


OPTION = Exercise(
    "choose_option",
    "05",
    _option,
    cases=tuple(
        Case((_TABLE, seconds), f"five options, a budget of {seconds} s")
        for seconds in (10, 60, 55, 9, 2, 25, 65)
    ),
    mistakes=(
        Mistake(
            "test chooses",
            "The column `accuracy` is on test images. If test chooses, who is left to judge?",
            lambda r, s: _option(r, s, "accuracy"),
        ),
        Mistake(
            "the budget is not kept",
            "How long does your choice take on average?",
            lambda r, s: _option(r, s, within=False),
        ),
        Mistake(
            "the quickest is taken",
            "The budget is a limit, not a goal. What is to be as large as possible?",
            lambda r, s: _option(r, s, "seconds", best=min),
        ),
        Mistake(
            "the best single row wins",
            "One lucky seed is not an option's accuracy. What is a fair summary of several rows?",
            lambda r, s: _option(r, s, score=_extreme(max)),
        ),
        Mistake(
            "the slowest row decides about the budget",
            "The budget is for the mean of the seconds: is it the largest one in yours?",
            lambda r, s: _option(r, s, cost=_extreme(max)),
        ),
        Mistake(
            "the quickest row decides about the budget",
            "The budget is for the mean of the seconds: is it the smallest one in yours?",
            lambda r, s: _option(r, s, cost=_extreme(min)),
        ),
        Mistake(
            "the limit itself is left out",
            "An option that takes just what you may spend: is it within the budget?",
            _strictly,
        ),
        Mistake(
            "seconds are summed, not averaged",
            "The rows of an option are several trainings. How long does one take?",
            lambda r, s: _option(r, s, cost=_total),
        ),
        Mistake(
            "accuracies are summed, not averaged",
            "Which option profits from having more rows?",
            lambda r, s: _option(r, s, score=_total),
        ),
        Mistake(
            "dear rows are left out before the mean is taken",
            "The budget is for the option's mean: do rows fall out of yours one by one?",
            lambda r, s: _option([row for row in r if float(row["seconds"]) <= s], s),
        ),
        Mistake("the worst is taken", "max or min?", lambda r, s: _option(r, s, best=min)),
        Mistake(
            "the most expensive within the budget is taken",
            "Is what costs more always better?",
            lambda r, s: _option(r, s, "seconds"),
        ),
    ),
    hints=(
        "First summarise each option: the mean of its seconds, and the mean of its accuracy on "
        "the images that may choose.",
        "Keep the options whose mean seconds are within the budget, the limit included.",
        "max(names, key=...) returns the name with the largest value.",
    ),
)
