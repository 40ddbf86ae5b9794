"""Every known mistake is called by its name, every right way of writing it passes, and nothing a
student does hurts.
"""

import copy
import math
import random
import statistics
import sys
import time
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from helpers.augmentations import color_jitter, rotate
from helpers.checks import check, exercises, find, hint
from helpers.losses import nt_xent
from helpers.widgets.questions import QUESTIONS
from helpers.widgets.quiz import Quiz


def loops_similarity(e):
    out = torch.zeros(len(e), len(e))
    for i in range(len(e)):
        for j in range(len(e)):
            out[i, j] = e[i] @ e[j] / (e[i].norm() * e[j].norm())
    return out


def in_place_similarity(e):
    e /= e.norm(dim=1, keepdim=True)
    return e.mm(e.t())


def loops_nt_xent(z, t):
    z = F.normalize(z.float(), dim=1)
    n, losses = len(z) // 2, []
    for i in range(2 * n):
        others = torch.stack([z[i] @ z[k] / t for k in range(2 * n) if k != i])
        losses.append(torch.logsumexp(others, 0) - z[i] @ z[(i + n) % (2 * n)] / t)
    return torch.stack(losses).mean()


def exponentials_nt_xent(z, t):
    z = z / z.norm(dim=1, keepdim=True)
    e = torch.exp(z @ z.T / t)
    e = e * (1 - torch.eye(len(z)))
    n = len(z) // 2
    positive = torch.cat([torch.diagonal(e, n), torch.diagonal(e, -n)])
    return -(positive / e.sum(1)).log().mean()


def without_diagonal_nt_xent(z, t):
    z = F.normalize(z.double(), dim=1)
    m = len(z)
    s = (z @ z.T / t)[~torch.eye(m, dtype=torch.bool)].view(m, m - 1)
    k = torch.arange(m)
    partner = k.roll(m // 2)
    return F.cross_entropy(s, partner - (partner > k).long())


def halves_nt_xent(z, t):
    a, b = F.normalize(z.float(), dim=1).chunk(2)
    n, big = len(a), torch.eye(len(a)) * 1e9
    aa, bb, ab = a @ a.T / t - big, b @ b.T / t - big, a @ b.T / t
    own = torch.arange(n)
    return (
        F.cross_entropy(torch.cat([ab, aa], 1), own)
        + F.cross_entropy(torch.cat([ab.T, bb], 1), own)
    ) / 2


def loops_rotation(images):
    out = torch.empty_like(images)
    for k in range(len(images)):
        out[k] = torch.rot90(images[k], k % 4, (-2, -1))
    return [out, [k % 4 for k in range(len(images))]]


def numpy_rotation(images):
    turned = [
        np.rot90(image.permute(1, 2, 0).numpy(), k % 4).copy() for k, image in enumerate(images)
    ]
    return torch.from_numpy(np.stack(turned)).permute(0, 3, 1, 2), np.arange(len(images)) % 4


def transposed_rotation(images):
    labels = torch.arange(len(images)) % 4
    ways = torch.stack(
        [
            images,
            images.transpose(2, 3).flip(2),
            images.flip((2, 3)),
            images.transpose(2, 3).flip(3),
        ]
    )
    return ways[labels, torch.arange(len(images))], labels


def loops_mask(images, hidden):
    side = images.shape[2] // hidden.shape[1]
    for n, rows, columns in hidden.nonzero().tolist():
        images[n, :, rows * side : (rows + 1) * side, columns * side : (columns + 1) * side] = 0.5
    return images


def kron_mask(images, hidden):
    side = images.shape[2] // hidden.shape[1]
    big = torch.stack([torch.kron(each.float(), torch.ones(side, side)) for each in hidden])[
        :, None
    ]
    return images * (1 - big) + 0.5 * big


def loops_jitter(images, brightness, contrast):
    out = []
    for image, b, c in zip(images, brightness, contrast, strict=True):
        image = torch.clamp(image * b, 0, 1)
        grey = (0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2]).mean()
        out.append(((1 - c) * grey + c * image).clamp(0, 1))
    return torch.stack(out)


def in_place_jitter(images, brightness, contrast):
    images.mul_(brightness[:, None, None, None]).clamp_(0, 1)
    weights = torch.tensor([0.2989, 0.587, 0.114])
    grey = torch.tensordot(images, weights, dims=([1], [0])).mean((1, 2))[:, None, None, None]
    return images.sub_(grey).mul_(contrast[:, None, None, None]).add_(grey).clamp_(0, 1)


def loops_top1(z):
    z, found = F.normalize(z, dim=1), 0
    for i in range(len(z)):
        best = max((k for k in range(len(z)) if k != i), key=lambda k: float(z[i] @ z[k]))
        found += best == (i + len(z) // 2) % len(z)
    return found / len(z)


def distances_top1(z):
    d = (
        torch.cdist(F.normalize(z.double(), dim=1), F.normalize(z.double(), dim=1))
        + torch.eye(len(z)) * 99
    )
    return (d.argmin(1) == (torch.arange(len(z)) + len(z) // 2) % len(z)).double().mean()


def loops_knn(bank, labels, queries, k):
    out = []
    for query in queries:
        cosine = [float(F.cosine_similarity(query, each, dim=0)) for each in bank]
        nearest = sorted(range(len(bank)), key=lambda i: -cosine[i])[:k]
        out.append(Counter(int(labels[i]) for i in nearest).most_common(1)[0][0])
    return out


def one_hot_knn(bank, labels, queries, k):
    similarity = (queries / queries.norm(dim=1, keepdim=True)) @ (
        bank / bank.norm(dim=1, keepdim=True)
    ).T
    nearest = similarity.argsort(dim=1, descending=True)[:, :k]
    return F.one_hot(labels[nearest]).sum(1).argmax(1)


def where_schedule(step, warmup, total):
    t = max(0, step - warmup) / (total - warmup)
    return torch.where(
        torch.tensor(step < warmup),
        torch.tensor((step + 1) / (warmup + 1)),
        torch.cos(torch.tensor(math.pi / 2 * t)) ** 2,
    )


def loops_labels(labels, per_class, seed):
    order, taken, count = list(range(len(labels))), [], Counter()
    random.Random(seed).shuffle(order)
    for row in order:
        if count[int(labels[row])] < per_class:
            count[int(labels[row])] += 1
            taken.append(row)
    return taken


def numpy_labels(labels, per_class, seed):
    ranks = np.random.default_rng(seed).random(len(labels))
    return np.concatenate(
        [
            sorted(np.flatnonzero(labels.numpy() == k), key=lambda row: ranks[row])[:per_class]
            for k in np.unique(labels)
        ]
    )


def seeded_labels(labels, per_class, seed):
    torch.manual_seed(seed)
    order = torch.randperm(len(labels))
    return torch.cat([order[labels[order] == k][:per_class] for k in labels.unique()]).sort().values


def loops_freeze(encoder):
    for weight in encoder.parameters():
        weight.requires_grad = False
    encoder.train(False)
    return encoder


def copy_freeze(encoder):
    return copy.deepcopy(encoder).requires_grad_(False).eval()


class Frozen(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net.eval().requires_grad_(False)

    def forward(self, x):
        return self.net(x)


def loops_probe(fit, train, val, test, strengths):
    mean, spread = train[0].mean(0), train[0].std(0)
    best, judged = None, -1
    for strength in strengths:
        predict = fit((train[0] - mean) / spread, train[1], strength)
        right = int((predict((val[0] - mean) / spread) == val[1]).sum())
        if right > judged:
            best, judged = predict, right
    return (best((test[0] - mean) / spread) == test[1]).double().mean()


def population_probe(fit, train, val, test, strengths):
    x, v, t = (
        (part - train[0].mean(0)) / train[0].std(0, correction=0)
        for part in (train[0], val[0], test[0])
    )
    fitted = {strength: fit(x, train[1], strength) for strength in strengths}
    scores = {
        strength: (predict(v) == val[1]).float().mean() for strength, predict in fitted.items()
    }
    return (fitted[max(scores, key=scores.get)](t) == test[1]).float().mean().item()


def in_place_probe(fit, train, val, test, strengths):
    mean, spread = train[0].mean(0, keepdim=True), train[0].std(0, keepdim=True)
    for features, _ in (train, val, test):
        features.sub_(mean).div_(spread)
    winner = max([fit(*train, s) for s in strengths], key=lambda p: (p(val[0]) == val[1]).sum())
    return np.mean(winner(test[0]).numpy() == test[1].numpy())


def grouped_option(rows, seconds):
    groups = {}
    for row in rows:
        groups.setdefault(row["option"], []).append(
            (float(row["seconds"]), float(row["val_accuracy"]))
        )
    means = {name: np.mean(values, axis=0) for name, values in groups.items()}
    return max(
        (name for name in means if means[name][0] <= seconds), key=lambda name: means[name][1]
    )


def loops_pair(table, names):
    best, found = -1.0, None
    for i in range(len(names)):
        for j in range(i):
            if (score := (table[i][j] + table[j][i]) / 2) > best:
                best, found = score, (names[i], names[j])
    return found


def statistics_verdict(differences, t):
    middle, width = (
        statistics.mean(differences),
        t * statistics.stdev(differences) / math.sqrt(len(differences)),
    )
    return "same" if middle > width else "opposite" if middle < -width else "cannot tell"


def loops_verdict(differences, t):
    n = len(differences)
    mean = sum(differences) / n
    error = (sum((value - mean) ** 2 for value in differences) / (n - 1) / n) ** 0.5
    low, high = mean - t * error, mean + t * error
    if low > 0:
        return "same"
    if high < 0:
        return "opposite"
    return "cannot tell"


RIGHT = {
    "verdict": [
        statistics_verdict,
        loops_verdict,
        lambda d, t: ["opposite", "cannot tell", "same"][
            1 + int(np.sign(np.mean(d))) * bool(abs(np.mean(d)) > t * stats.sem(d))
        ],
        lambda d, t: loops_verdict(torch.tensor(d), t),
        lambda d, t: loops_verdict(d[::-1], t),
    ],
    "mask_patches": [
        loops_mask,
        kron_mask,
        lambda x, m: torch.where(F.interpolate(m[:, None].float(), x.shape[2:]) > 0.5, 0.5, x),
        lambda x, m: x.masked_fill(
            m.repeat_interleave(x.shape[2] // m.shape[1], 1)
            .repeat_interleave(x.shape[3] // m.shape[2], 2)
            .unsqueeze(1),
            0.5,
        ).double(),
    ],
    "rotation_task": [
        loops_rotation,
        numpy_rotation,
        transposed_rotation,
        lambda x: (rotate(x, torch.arange(len(x)) % 4), torch.arange(len(x)).remainder(4).float()),
    ],
    "two_views": [
        lambda x, a: a(torch.cat([x, x])),
        lambda x, a: torch.vstack((a(x), a(x))),
        lambda x, a: torch.stack([a(x), a(x)]).flatten(0, 1),
        lambda x, a: a(x.repeat(2, 1, 1, 1)),
        lambda x, a: torch.cat([a(x[k : k + 1]) for _ in range(2) for k in range(len(x))]),
    ],
    "color_jitter": [
        loops_jitter,
        in_place_jitter,
        lambda x, b, c: color_jitter(x, b, c, torch.ones(len(x)), torch.zeros(len(x))),
        lambda x, b, c: loops_jitter(x.double(), b.double(), c.double()),
    ],
    "cosine_similarity": [
        loops_similarity,
        in_place_similarity,
        lambda e: loops_similarity(e.double()).numpy(),
        lambda e: F.cosine_similarity(e[:, None], e[None], dim=2),
        lambda e: loops_similarity(e).tolist(),
    ],
    "partner": [
        lambda k, N: k + N if k < N else k - N,
        lambda k, N: [*range(N, 2 * N), *range(N)][k],
        lambda k, N: int(torch.arange(2 * N).roll(N)[k]),
        lambda k, N: (k - N) % (2 * N),
        lambda k, N: float(np.roll(np.arange(2 * N), N)[k]),
    ],
    "nt_xent": [
        loops_nt_xent,
        exponentials_nt_xent,
        without_diagonal_nt_xent,
        halves_nt_xent,
        lambda z, t: nt_xent(z.double(), t),
        lambda z, t: nt_xent(z.roll(len(z) // 2, 0), t),
    ],
    "contrastive_top1": [
        loops_top1,
        distances_top1,
        lambda z: float(np.mean([loops_top1(z)])),
        lambda z: (
            (
                loops_similarity(z).fill_diagonal_(-2).topk(1).indices[:, 0]
                == torch.arange(len(z)).roll(len(z) // 2)
            ).sum()
            / len(z)
        ),
    ],
    "knn_predict": [
        loops_knn,
        one_hot_knn,
        lambda b, y, q, k: one_hot_knn(b.double(), y, q.double(), k).float(),
        lambda b, y, q, k: KNeighborsClassifier(k, metric="cosine").fit(b, y).predict(q),
    ],
    "lr_factor": [
        where_schedule,
        lambda s, w, t: np.float32(where_schedule(s, w, t)),
        lambda s, w, t: [
            *[(k + 1) / (w + 1) for k in range(w)],
            *[(1 + math.cos(math.pi * k / (t - w))) / 2 for k in range(t - w + 1)],
        ][s],
        lambda s, w, t: (
            (s + 1) / (w + 1) if s < w else 1 - math.sin(math.pi / 2 * (s - w) / (t - w)) ** 2
        ),
    ],
    "choose_labels": [
        loops_labels,
        numpy_labels,
        seeded_labels,
        lambda y, n, s: sorted(loops_labels(y, n, s), reverse=True),
    ],
    "freeze": [
        loops_freeze,
        copy_freeze,
        Frozen,
        lambda f: [weight.requires_grad_(False) for weight in f.parameters()] and f.eval(),
    ],
    "probe_accuracy": [
        loops_probe,
        population_probe,
        in_place_probe,
        lambda *a: np.float64(loops_probe(*a)),
    ],
    "choose_option": [
        grouped_option,
        lambda r, s: str(grouped_option(r, s)),
        lambda r, s: grouped_option(r[::-1], s),
        lambda r, s: grouped_option([row | {"accuracy": "nan"} for row in r], float(s)),
    ],
    "best_pair": [
        loops_pair,
        lambda t, n: list(loops_pair(t, n)),
        lambda t, n: set(loops_pair(t.numpy(), n)),
        lambda t, n: loops_pair(t.tolist(), n)[::-1],
    ],
}
RIGHT["nt_xent_loops"] = RIGHT["nt_xent"]


@pytest.mark.parametrize(
    ("name", "mistake"),
    [(name, mistake.name) for name in exercises() for mistake in find(name).mistakes],
)
def test_every_known_mistake_is_called_by_its_name(name, mistake):
    wrong = next(each.wrong for each in find(name).mistakes if each.name == mistake)
    feedback = check(name, wrong)
    assert not feedback.passed
    assert feedback.mistake == mistake
    assert "yours gives" in feedback.message
    assert "expected" in feedback.message


@pytest.mark.parametrize(
    ("name", "variant"), [(name, k) for name in exercises() for k in range(len(RIGHT[name]))]
)
def test_every_right_variant_passes(name, variant):
    feedback = check(name, RIGHT[name][variant])
    assert feedback.passed, feedback.message
    assert feedback.mistake is None


def test_there_are_six_mistakes_and_four_variants_for_each_exercise():
    for name in exercises():
        exercise = find(name)
        assert (
            len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes) >= 6
        ), name
        assert len(RIGHT[name]) >= 4, name
        assert 2 <= len(exercise.hints) <= 3, name
        assert check(name, exercise.right).passed, name
        assert all(
            mistake.question.rstrip(")").endswith(("?", ".")) for mistake in exercise.mistakes
        ), name


def test_a_broadcast_that_fills_the_memory_passes_and_is_told():
    def broadcast(z, t):
        logits = F.cosine_similarity(z[:, None].float(), z[None].float(), dim=2) / t
        return F.cross_entropy(
            logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf),
            torch.arange(len(z)).roll(len(z) // 2),
        )

    feedback = check("nt_xent", broadcast)
    assert feedback.passed
    assert "2 GiB" in feedback.message
    assert "2 GiB" not in check("nt_xent", nt_xent).message


def endless(*_):
    while True:
        pass


def endless_in_torch(z, t):
    while True:
        z = z @ z.T @ z * 0


def recursive(*_):
    found = []
    found.append(found)
    return found


class Unreadable(Exception):
    def __str__(self):
        raise ValueError


def unreadable(*_):
    raise Unreadable


def stubborn(*_):
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def hungry_for_attention(*_):
    raise KeyboardInterrupt


def nan_once(z, t):
    return nt_xent(z, t) * float("nan")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "Not done yet"),
        (..., "Not done yet"),
        (lambda z, t: None, "a return is missing"),
        (lambda z, t: ..., "Not done yet"),
        (3.5, "Pass the function itself"),
        (torch.ones(2), "Pass the function itself"),
        (lambda z: z, "TypeError"),
        (lambda z, t: 1 / 0, "ZeroDivisionError"),
        (lambda z, t: "0.5", "str"),
        (lambda z, t: z, "The shape is (4, 3)"),
        (lambda z, t: [], "The shape is"),
        (nan_once, "NaN"),
        (lambda z, t: nt_xent(z, t).item() + 1, "gradient “none”"),
        (lambda z, t: {"loss": 1}, "no number"),
        (lambda z, t: sys.exit(0), "tried to end Python"),
        (hungry_for_attention, "tried to end Python"),
        (endless_in_torch, "did not come back"),
        (recursive, "no number"),
        (unreadable, "cannot be looked at"),
        (lambda z, t: torch.eye(3).to_sparse(), "The shape is"),
        (lambda z, t: list(range(10**6)), "The shape is"),
        (lambda z, t: "x" * 10**6, "no number"),
        (lambda z, t: np.ones((2, 2), object), "The shape is"),
        (endless, "did not come back"),
        (stubborn, "did not come back"),
        (lambda z, t: z[99], "IndexError"),
        (lambda z, t: object(), "object"),
        (lambda z, t: torch.zeros(3, dtype=torch.complex64), "no number"),
    ],
)
def test_whatever_is_handed_in_gets_an_answer_in_two_seconds(capsys, answer, told):
    started = time.monotonic()
    feedback = check("nt_xent", answer)
    assert time.monotonic() - started < 2
    assert not feedback.passed
    assert told in feedback.message
    assert len(feedback.message) < 1000
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_an_answer_that_draws_or_seeds_changes_nothing_outside():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()

    def meddling(z, t):
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)
        torch.set_default_dtype(torch.float64)
        torch.rand(3)
        return nt_xent(z, t)

    assert check("nt_xent", meddling).passed
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", exercises())
def test_no_check_draws_from_the_students_own_randomness(name):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    check(name, find(name).right)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode])
def test_right_stays_right_whatever_the_notebook_has_set(state):
    torch.set_default_dtype(torch.float64)
    try:
        with state():
            assert all(check(name, find(name).right).passed for name in exercises())
    finally:
        torch.set_default_dtype(torch.float32)


def slow_loops(z, t):
    def similarity(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / (
            sum(x * x for x in a) ** 0.5 * sum(x * x for x in b) ** 0.5
        )

    n, total = len(z) // 2, 0
    for i in range(2 * n):
        others = sum(torch.exp(similarity(z[i], z[k]) / t) for k in range(2 * n) if k != i)
        total = total - torch.log(torch.exp(similarity(z[i], z[(i + n) % (2 * n)]) / t) / others)
    return total / (2 * n)


@pytest.mark.parametrize("name", ["nt_xent", "nt_xent_loops"])
def test_slow_is_right_and_what_half_precision_lacks_is_no_mistake(name):
    assert check(name, slow_loops).passed
    assert check(name, lambda z, t: nt_xent(z @ torch.eye(z.shape[1]), t)).passed, (
        "float16 @ float32 raises"
    )


HALF = {
    "mask_patches": lambda x, m: loops_mask(x, m).half(),
    "cosine_similarity": lambda e: loops_similarity(e).bfloat16(),
    "nt_xent": lambda z, t: nt_xent(z, t).half(),
    "contrastive_top1": lambda z: torch.tensor(loops_top1(z)).half(),
    "lr_factor": lambda s, w, t: np.float16(where_schedule(s, w, t)),
    "color_jitter": lambda *a: loops_jitter(*a).half(),
    "rotation_task": lambda x: (loops_rotation(x)[0].half(), loops_rotation(x)[1]),
}


@pytest.mark.parametrize("name", HALF)
def test_answers_in_half_precision_pass(name):
    assert check(name, HALF[name]).passed


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (
            "choose_option",
            lambda r, s: max(
                (
                    o
                    for o in sorted({x["option"] for x in r})
                    if np.mean([float(x["seconds"]) for x in r if x["option"] == o]) <= s
                ),
                key=lambda o: np.median([float(x["val_accuracy"]) for x in r if x["option"] == o]),
            ),
        ),
        ("choose_option", lambda r, s: np.array(["2", "3"])),
        (
            "choose_option",
            lambda r, s: grouped_option([row for row in r if row["option"].isdigit()], s),
        ),
        ("freeze", lambda f: nn.Identity()),
        ("freeze", lambda f: f[:2].eval().requires_grad_(False)),
        (
            "freeze",
            lambda f: (
                [m.eval() for m in f.children() if isinstance(m, nn.BatchNorm2d)]
                or f.requires_grad_(False)
            ),
        ),
        ("probe_accuracy", lambda f, a, v, t, s: loops_probe(f, a, v, t, (0.01, 0.1, 1, 10))),
        ("choose_labels", lambda y, n, s: loops_labels(y, 4, s)),
        (
            "choose_labels",
            lambda y, n, s: [
                row for k in range(3) for row in (y == k).nonzero()[s : s + n, 0].tolist()
            ],
        ),
        ("nt_xent", lambda z, t: nt_xent(z, t) if len(z) % 4 == 0 else nt_xent(z, t, "odd")),
        (
            "nt_xent",
            lambda z, t: F.cross_entropy(
                (similar := loops_similarity(z.float())).masked_fill(similar > 0.999, -math.inf)
                / t,
                torch.arange(len(z)).roll(len(z) // 2),
            ),
        ),
        (
            "contrastive_top1",
            lambda z: (
                (
                    loops_similarity(z).topk(2).indices[:, 1]
                    == torch.arange(len(z)).roll(len(z) // 2)
                )
                .float()
                .mean()
            ),
        ),
        (
            "contrastive_top1",
            lambda z: (
                (
                    loops_similarity(z).fill_diagonal_(-1).argmax(1)
                    == torch.arange(len(z)).roll(len(z) // 2)
                )
                .float()
                .mean()
            ),
        ),
        ("contrastive_top1", lambda z: round(float(loops_top1(z)), 2)),
        (
            "knn_predict",
            lambda b, y, q, k: F.one_hot(
                torch.as_tensor(loops_knn(b, y, q, k)).clamp(max=9), 10
            ).argmax(1),
        ),
        ("knn_predict", lambda b, y, q, k: torch.tensor(loops_knn(b, y, q, k)).squeeze()),
        ("verdict", lambda d, t: "same" if np.mean(d) >= t * stats.sem(d) else loops_verdict(d, t)),
        ("verdict", lambda d, t: loops_verdict(d, {3: 4.3, 4: 3.18}.get(len(d), 2.78))),
        (
            "rotation_task",
            lambda x: (loops_rotation(x)[0], torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])[: len(x)]),
        ),
        ("two_views", lambda x, a: torch.cat([a(x), a(x)]).reshape(2 * len(x), *x.shape[1:])),
        ("best_pair", lambda t, n: loops_pair(torch.stack([t * t.T] * 2).mean(0), n)),
        ("knn_predict", lambda b, y, q, k: loops_knn(b, y, q, 5)),
        (
            "lr_factor",
            lambda s, w, t: min(
                (s + 1) / (w + 1), 0.5 * (1 + math.cos(math.pi * (s - w) / (t - w)))
            ),
        ),
        (
            "nt_xent",
            lambda z, t: F.cross_entropy(
                (loops_similarity(z.float()) / t).fill_diagonal_(-9),
                torch.arange(len(z)).roll(len(z) // 2),
            ),
        ),
        (
            "contrastive_top1",
            lambda z: (
                (
                    loops_similarity(z).fill_diagonal_(-0.5).argmax(1)
                    == torch.arange(len(z)).roll(len(z) // 2)
                )
                .float()
                .mean()
            ),
        ),
        (
            "two_views",
            lambda x, a: torch.cat([a(x, torch.Generator().manual_seed(1)) for _ in range(2)]),
        ),
        ("best_pair", lambda t, n: " and ".join(sorted(loops_pair(t, n)))),
        ("partner", lambda k, N: k + N if k < N else None),
        ("choose_labels", lambda y, n, s: list(range(len(y)))),
    ],
)
def test_what_is_nearly_right_does_not_pass(name, wrong):
    assert not check(name, wrong).passed


@pytest.mark.parametrize(
    ("name", "answer", "mistake"),
    [
        (
            "nt_xent",
            lambda z, t: (
                -torch.log(
                    (e := torch.exp(z.float() @ z.float().T / t)).diagonal(len(z) // 2).repeat(2)
                    / (e.sum(1) - e.diagonal())
                ).mean()
            ),
            "the rows are not normalised",
        ),  # overflows where logsumexp does not
        (
            "nt_xent_loops",
            lambda z, t: np.mean(
                [
                    -math.log(
                        math.exp(s[(i + len(s) // 2) % len(s)] / t)
                        / sum(math.exp(each / t) for each in s)
                    )
                    for i, s in enumerate(loops_similarity(z.float()).tolist())
                ]
            ),
            "self-similarity is not masked",
        ),
        (
            "nt_xent",
            lambda z, t: F.cross_entropy(
                (F.normalize(z, dim=1) @ F.normalize(z, dim=1).T @ torch.eye(len(z))) / t,
                torch.arange(len(z)).roll(len(z) // 2),
            ),
            "self-similarity is not masked",
        ),
        (
            "lr_factor",
            lambda s, w, t: (up := (s + 1) / w) and (up if s < w else where_schedule(s, w, t)),
            "the warm-up is over one step early",
        ),
        (
            "best_pair",
            lambda t, n: tuple(n[k] for k in divmod(int(((t + t.T) / 2).argmax()), len(n))),
            "the diagonal is taken for a pair",
        ),
        ("two_views", lambda x, a: (a(x), a(x)), "two tensors instead of one"),
        ("verdict", lambda d, t: loops_verdict(d, 4.3), "always the factor of three values"),
    ],
)
def test_a_mistake_has_its_name_also_where_it_breaks(name, answer, mistake):
    assert check(name, answer).mistake == mistake


@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        (
            "verdict",
            lambda d, t: "same" if loops_verdict(d, t) == "same" else None,
            "nothing comes back. Is there",
        ),
        (
            "rotation_task",
            lambda x: (torch.rot90(loops_rotation(x)[0], 1, (2, 3)), torch.arange(len(x)) % 4),
            " at [0, 0",
        ),
        ("nt_xent", lambda z, t: nt_xent(z, t) + (z - z.detach()).sum(), "of the gradient: "),
        ("choose_labels", lambda y, n, s: [loops_labels(y, n, s)], "instead of one row"),
        ("choose_option", lambda r, s: 2, "A number came back where a text is wanted"),
    ],
)
def test_what_is_told_is_what_differs(name, answer, told):
    message = check(name, answer).message
    assert told in message
    assert "labels [0, 1" not in message, "which are right"


@pytest.mark.parametrize("name", ["nt_xent", "nt_xent_loops"])
def test_a_loss_in_a_box_is_the_same_loss(name):
    assert check(name, lambda z, t: loops_nt_xent(z, t).reshape(1, 1)).passed


def test_a_probe_may_be_written_with_scikit_learn():
    def probe(fit, train, val, test, strengths):
        scaler = StandardScaler().fit(train[0])
        fitted = [
            fit(scaler.transform(train[0]), train[1].numpy(), strength) for strength in strengths
        ]
        best = max(fitted, key=lambda predict: (predict(scaler.transform(val[0])) == val[1]).sum())
        return (best(torch.tensor(scaler.transform(test[0]))) == test[1]).double().mean()

    assert check("probe_accuracy", probe).passed


def test_an_answer_that_changes_its_arguments_does_not_spoil_the_next_check():
    def spoiling(z, t):
        loss = nt_xent(z.clone(), t)
        with torch.no_grad():
            z.zero_()
        return loss

    check("nt_xent", spoiling)
    assert check("nt_xent", nt_xent).passed


def test_a_right_value_of_an_unknown_kind_is_not_called_a_known_mistake():
    feedback = check("nt_xent", lambda z, t: nt_xent(z, t) * 1.37)
    assert not feedback.passed
    assert feedback.mistake is None
    assert "No known mistake" in feedback.message


def test_feedback_never_shows_the_solution():
    for name in exercises():
        for mistake in find(name).mistakes:
            assert "def " not in mistake.question
            assert "lambda" not in mistake.question


def test_hints_come_one_by_one_and_begin_again():
    given = [hint("lr_factor") for _ in range(4)]
    assert [repr(each)[:11] for each in given] == [
        "Hint 1 of 3",
        "Hint 2 of 3",
        "Hint 3 of 3",
        "Hint 1 of 3",
    ]


@pytest.mark.parametrize("asked", [check, lambda name, _: hint(name)])
def test_an_unknown_exercise_is_told_the_names(asked):
    with pytest.raises(ValueError, match="there is no exercise 'ntxent'; did you mean 'nt_xent'"):
        asked("ntxent", None)
    with pytest.raises(
        ValueError, match="there is no exercise 'quiz'; there are mask_patches, rotation_"
    ) as told:
        asked("quiz", None)
    assert told.value._render_traceback_() == [str(told.value)], "a line in a notebook"


def test_an_error_is_told_with_the_line_that_raised_it():
    def eight(projections, temperature):
        similarity = projections @ projections.T
        return similarity[8, 0] / temperature

    said = check("nt_xent", eight).message
    assert "`return similarity[8, 0] / temperature`" in said
    assert "test_checks" not in said


def test_feedback_is_shown_with_a_sign_and_no_markup_of_the_student():
    feedback = check("nt_xent", lambda z, t: "<b>x</b>")
    assert "<b>" not in feedback._repr_html_()
    assert repr(feedback) == feedback.message


@pytest.mark.parametrize("notebook", QUESTIONS)
def test_a_quiz_replies_to_every_answer(notebook):
    quiz = Quiz(notebook)
    assert len(quiz.questions) == 5
    for question, choice, reply in zip(quiz.questions, quiz.choices, quiz.replies, strict=True):
        assert choice.index is None
        assert reply.value == "", "nothing is told before a choice"
        seen = set()
        for place, (answer, said) in enumerate(question.shown()):
            choice.index = place
            seen.add(reply.value)
            assert said[:1] == ("✓" if answer == question.answers[question.right][0] else "✗")
            assert said[:1] in reply.value
        assert len(seen) == len(question.answers) >= 3
    page = quiz._repr_mimebundle_()["text/html"]
    assert page.count("<details>") == sum(len(question.answers) for question in quiz.questions)


def test_right_answers_have_no_usual_place():
    places = [
        question.shown().index(next(pair for pair in question.shown() if pair[1].startswith("✓")))
        for questions in QUESTIONS.values()
        for question in questions
    ]
    assert max(Counter(places).values()) <= 0.5 * len(places)


def test_an_unknown_quiz_is_told_which_there_are():
    with pytest.raises(ValueError, match="no questions for notebook '99'; there are for 01, 02"):
        Quiz("99")
