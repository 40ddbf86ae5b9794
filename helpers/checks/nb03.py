"""Notebook 03: the similarity matrix, who is whose partner, and NT-Xent, with loops first and as
matrices then.

The mistakes are the classic ones of public code.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from helpers.checks.exercise import Case, Exercise, Mistake, NotDone, NotHere
from helpers.losses import cosine_similarity, nt_xent, positive_index


def _partners(function, N: int) -> list:
    return [function(k, N) for k in range(2 * N)]


def _zeros(embeddings: Tensor) -> Tensor:
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    return unit @ unit.T - torch.eye(len(unit))


SIMILARITY = Exercise(
    "cosine_similarity",
    "03",
    cosine_similarity,
    named="similarity_matrix",
    cases=(
        Case(
            (torch.tensor([[3.0, 4.0], [8.0, 6.0], [-4.0, 3.0]]),),
            "three rows of different lengths",
        ),
        Case(
            (torch.randn(5, 4, generator=torch.Generator().manual_seed(0)) * 10,),
            "five rows of four numbers",
        ),
    ),
    mistakes=(
        Mistake(
            "the rows are not normalised",
            "How long is each row, and how long should it be before the product?",
            lambda e: e @ e.T,
        ),
        Mistake(
            "columns are normalised instead of rows",
            "Along which axis does one embedding lie?",
            lambda e: F.normalize(e, dim=0) @ F.normalize(e, dim=0).T,
        ),
        Mistake(
            "all rows are divided by one length",
            "Does every row have length 1 after your division, or all of them together?",
            lambda e: (e / e.norm()) @ (e / e.norm()).T,
        ),
        Mistake(
            "only one of the two rows is normalised",
            "A similarity compares two rows. Whose length is still in it?",
            lambda e: F.normalize(e, dim=1) @ e.T,
        ),
        Mistake(
            "only the other row is normalised",
            "A length of shape (M,) divides the columns. Whose length is still in it?",
            lambda e: e @ F.normalize(e, dim=1).T,
        ),
        Mistake(
            "a distance, not a similarity",
            "What should a row have with itself: 1 or 0?",
            lambda e: 1 - cosine_similarity(e),
        ),
        Mistake(
            "divided by the squared length",
            "What is the length of a row: the sum of squares, or its root?",
            lambda e: (
                (e / e.square().sum(1, keepdim=True)) @ (e / e.square().sum(1, keepdim=True)).T
            ),
        ),
        Mistake(
            "coordinates are compared with coordinates",
            "The result should be (M, M). Which of the two factors is to be transposed?",
            lambda e: F.normalize(e, dim=1).T @ F.normalize(e, dim=1),
        ),
        Mistake(
            "each row is compared with itself only",
            "How many pairs do M rows have, and how many numbers came back?",
            lambda e: F.cosine_similarity(e, e, dim=1),
        ),
        Mistake(
            "the sign is lost",
            "Can a cosine be negative? What do opposite rows have?",
            lambda e: cosine_similarity(e).abs(),
        ),
        Mistake(
            "the diagonal is taken away",
            "What is the similarity of a row with itself? (Masking comes later, in the loss.)",
            _zeros,
        ),
    ),
    hints=(
        "Two unit vectors: their cosine is their dot product.",
        "First bring every row to length 1: divide it by its norm. keepdim=True keeps the shape "
        "that broadcasting needs.",
        "All dot products of the rows of a matrix with each other are one matrix product, with "
        "the matrix transposed on one side.",
    ),
)

PARTNER = Exercise(
    "partner",
    "03",
    lambda k, N: (k + N) % (2 * N),
    named="partner_of",
    observe=_partners,
    cases=(
        Case((3,), "rows 0 to 5, N = 3"),
        Case((4,), "rows 0 to 7, N = 4"),
        Case((1,), "rows 0 and 1, N = 1"),
    ),
    mistakes=(
        Mistake(
            "views that alternate",
            "That is right where rows 2k and 2k + 1 are a pair. How are the views stacked here: "
            "all first ones, and then?",
            lambda k, N: k ^ 1,
        ),
        Mistake(
            "it runs past the last row",
            "What does your formula give for the last row, and how many rows are there?",
            lambda k, N: k + N,
        ),
        Mistake(
            "it ends up in the first half",
            "After how many rows should the count begin again: N, or all of them?",
            lambda k, N: (k + N) % N,
        ),
        Mistake(
            "mirrored",
            "Row 0 would belong to the last row. Are the second views in the same order as the "
            "first ones, or in the opposite one?",
            lambda k, N: 2 * N - 1 - k,
        ),
        Mistake(
            "its own partner", "Which row holds the *other* view of the same image?", lambda k, N: k
        ),
        Mistake(
            "the neighbour below",
            "Is the next row another view of this image, or a view of the next image?",
            lambda k, N: (k + 1) % (2 * N),
        ),
        Mistake(
            "half of the rows are wrong: only the first views",
            "Rows 0 to N - 1 are right. Where is the partner of row N?",
            lambda k, N: k + N if k < N else k,
        ),
        Mistake(
            "row N is counted to the first half",
            "Rows 0 to N − 1 are the first views. To which half does row N belong?",
            lambda k, N: k + N if k <= N else k - N,
        ),
        Mistake(
            "^ is not a power, and not a sum",
            "In Python k ^ N compares the bits of both. Which operation goes N rows on?",
            lambda k, N: k ^ N,
        ),
        Mistake(
            "it goes below 0",
            "Where does row 0 find its partner: N rows down, or N rows up?",
            lambda k, N: k - N,
        ),
    ),
    hints=(
        "Write the rows of N = 3 on paper: a1 b1 c1 a2 b2 c2. How far is it from a1 to a2? And "
        "from a2 back to a1?",
        "N down for the first half, N up for the second: or N down for all, going round at the "
        "end.",
        "The remainder of a division, %, goes round.",
    ),
)


def _observe(function, z: Tensor, temperature: float) -> dict:
    if z.dtype != torch.float32:
        return _in_half_precision(function, z, temperature)
    z = z.clone().requires_grad_()
    loss = function(z * 1.0, temperature)  # no leaf, so that it may be changed in place
    if loss is None or loss is ...:
        raise NotDone
    gradient = torch.autograd.grad(loss, z, allow_unused=True)[0] if _has_gradient(loss) else None
    # in a box, it is the same
    loss = loss.reshape(()) if isinstance(loss, Tensor) and loss.numel() == 1 else loss
    return {"loss": loss, "gradient": "none" if gradient is None else gradient}


def _in_half_precision(function, z: Tensor, temperature: float) -> dict:
    """Asked for the value only; what half precision does not have on this machine is nobody's
    mistake.
    """
    try:
        loss = function(z.clone(), temperature)
    except (RuntimeError, ValueError, TypeError) as error:
        if "overflow" in str(error):
            raise
        function(z.float(), temperature)  # what fails here, too, is another matter
        raise NotHere from error
    if loss is None or loss is ...:
        raise NotDone
    return {"loss": loss.reshape(()) if isinstance(loss, Tensor) and loss.numel() == 1 else loss}


def _has_gradient(loss) -> bool:
    return isinstance(loss, Tensor) and loss.requires_grad and loss.numel() == 1


def _logits(z: Tensor, t: float, masked: float | None = -math.inf) -> Tensor:
    logits = cosine_similarity(z.float()) / t
    return (
        logits
        if masked is None
        else logits.masked_fill(torch.eye(len(z), dtype=torch.bool), masked)
    )


def _loss(logits: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(logits, positive_index(len(logits)), reduction=reduction)


def _unnormalized(z: Tensor, t: float) -> Tensor:
    return _loss((z.float() @ z.float().T / t).fill_diagonal_(-math.inf))


def _interleaved(z: Tensor, t: float) -> Tensor:
    return F.cross_entropy(_logits(z, t), torch.arange(len(z)) ^ 1)


def _masked_with_0(z: Tensor, t: float) -> Tensor:
    return _loss(_logits(z, t, 0.0))


def _without_positive(z: Tensor, t: float) -> Tensor:
    logits, partner = _logits(z, t), positive_index(len(z))[:, None]
    positive = logits.gather(1, partner)[:, 0]
    return (torch.logsumexp(logits.scatter(1, partner, -math.inf), dim=1) - positive).mean()


def _one_direction(z: Tensor, t: float) -> Tensor:
    first, second = F.normalize(z.float(), dim=1).chunk(2)
    return F.cross_entropy(first @ second.T / t, torch.arange(len(first)))


def _cross_views(z: Tensor, t: float) -> Tensor:
    first, second = F.normalize(z.float(), dim=1).chunk(2)
    logits, own = first @ second.T / t, torch.arange(len(first))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def _softmax_first(z: Tensor, t: float) -> Tensor:
    return _loss(_logits(z, t).softmax(dim=1))


def _large_number(z: Tensor, t: float) -> Tensor:
    logits = cosine_similarity(z.float()).to(z.dtype) / t
    return _loss(logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -9e15).float())


def _own_place(z: Tensor, t: float) -> Tensor:
    return F.cross_entropy(_logits(z, t), torch.arange(len(z) // 2).repeat(2))


def _first_views_only(z: Tensor, t: float) -> Tensor:
    n = len(z) // 2
    return F.cross_entropy(_logits(z, t)[:n], positive_index(len(z))[:n])


class _Largest(TorchFunctionMode):
    """Notes how many numbers the largest tensor of its block has: one that is made, or one that
    inputs broadcast to.
    """

    numbers = 0

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        tensors = [each for each in arguments if isinstance(each, Tensor) and each.ndim > 2]
        sizes = (
            [math.prod(torch.broadcast_shapes(*(each.shape for each in tensors)))]
            if len(tensors) > 1
            else []
        )
        sizes += [result.numel()] if isinstance(result, Tensor) else []
        self.numbers = max([self.numbers, *sizes])
        return result


def _memory(function, z: Tensor, temperature: float) -> str:
    z = torch.randn(8, 48, generator=torch.Generator().manual_seed(0))
    try:
        with _Largest() as largest:
            function(z, temperature)
    except Exception:  # of shapes that do not broadcast: nothing to say then
        return ""
    if largest.numbers < len(z) ** 2 * z.shape[1]:
        return ""
    return (
        "One thing to know: every row is broadcast against every row, (2N)² × D numbers, 2 GiB "
        "for 1,024 images and 128 numbers each. A matrix product of normalised rows gives the "
        "same similarities in (2N)² numbers."
    )


def _z(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(2 * n, d, generator=torch.Generator().manual_seed(seed)) * 2


CASES = (
    Case((_z(2, 3, 0), 0.5), "two images, τ 0.5"),
    Case((_z(4, 6, 1), 0.1), "four images, τ 0.1"),
    Case(
        (torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), 0.02),
        "views far apart, τ 0.02",
    ),
    Case((torch.eye(3, 4).repeat(2, 1), 0.5), "three images whose views are equal"),
    Case((_z(3, 4, 2).half(), 0.5), "three images in half precision", 2e-2),
)
MISTAKES = (
    Mistake(
        "self-similarity is not masked",
        "With whom is each view compared in the denominator? Is one of them the view itself, with "
        "similarity 1?",
        lambda z, t: _loss(_logits(z, t, None)),
    ),
    Mistake(
        "the rows are not normalised",
        "What happens to your loss when all of z is doubled? What should happen?",
        _unnormalized,
    ),
    Mistake(
        "the wrong positive: views that alternate",
        "Rows k and k + N are a pair. Which row does yours take for the partner of row 0?",
        _interleaved,
    ),
    Mistake(
        "multiplied by τ instead of divided",
        "Should a lower temperature make the differences between similarities larger or smaller?",
        lambda z, t: _loss(_logits(z, 1 / t)),
    ),
    Mistake(
        "columns are normalised instead of rows",
        "Along which axis does one projection lie?",
        lambda z, t: _unnormalized(F.normalize(z.float(), dim=0), t),
    ),
    Mistake(
        "divided by τ twice",
        "How often does τ come into your logits?",
        lambda z, t: _loss(_logits(z, t) / t),
    ),
    Mistake(
        "the temperature is left out",
        "Where does τ come into your logits?",
        lambda z, t: _loss(cosine_similarity(z.float()).fill_diagonal_(-math.inf)),
    ),
    Mistake(
        "masked with 0 instead of −∞",
        "What is e to the power of 0? Is a logit of 0 left out of a softmax?",
        _masked_with_0,
    ),
    Mistake(
        "the positive is missing from the denominator",
        "The denominator sums over all k ≠ i. Is j among them? (Without it this is another loss, "
        "DCL, and can fall below 0.)",
        _without_positive,
    ),
    Mistake(
        "one direction only",
        "Each of the 2N views is an anchor once. How many anchors does yours have, and with how "
        "many others is each compared?",
        _one_direction,
    ),
    Mistake(
        "cross-view negatives only",
        "A view's negatives are *all* other views: also those that were drawn first, like itself. "
        "Against how many is each compared in yours?",
        _cross_views,
    ),
    Mistake(
        "first views only",
        "The second views are anchors too: over how many rows is the mean taken?",
        _first_views_only,
    ),
    Mistake(
        "second views only",
        "The first views are anchors too: over how many rows is the mean taken?",
        lambda z, t: _first_views_only(z.roll(len(z) // 2, 0), t),
    ),
    Mistake(
        "half of the anchors, divided by all",
        "It is half of what one half of the views give. How many anchors are summed, and how many "
        "divide?",
        lambda z, t: _first_views_only(z, t) / 2,
    ),
    Mistake(
        "the partner's number is wrong for the first half",
        "Which row is the partner of row 0: row 0, or row N? (A class that is masked has an "
        "infinite loss.)",
        _own_place,
    ),
    Mistake(
        "the sum instead of the mean",
        "What happens to your loss when the batch gets twice as large?",
        lambda z, t: _loss(_logits(z, t), "sum"),
    ),
    Mistake(
        "divided by N instead of 2N",
        "It is exactly twice the expected value. (Google's code does so on purpose: its loss is "
        "the sum of both directions.) How many anchors are there?",
        lambda z, t: 2 * _loss(_logits(z, t)),
    ),
    Mistake(
        "softmax before cross-entropy",
        "F.cross_entropy takes logits and applies a softmax itself. How many softmaxes are in "
        "yours?",
        _softmax_first,
    ),
    Mistake(
        "the sign",
        "A probability below 1 has a negative logarithm. Should the loss be above or below 0?",
        lambda z, t: -_loss(_logits(z, t)),
    ),
    Mistake(
        "detached: no gradient flows",
        "The value is right. What does loss.backward() say? Look for .item(), .detach(), float(), "
        "torch.tensor(...) or numpy on the way.",
        lambda z, t: _loss(_logits(z, t)).detach(),
    ),
    Mistake(
        "masked with a number that half precision does not have",
        "float16 ends at 65,504. Which constant works in every precision?",
        _large_number,
    ),
)
HINTS = (
    "Four steps: normalise the rows, all similarities divided by τ, take out each row's "
    "similarity with itself, and cross-entropy with the partner as the class.",
    "A row of logits is a classification among 2N − 1 other views. What has logit −∞ has "
    "probability 0.",
    "The class of row k is row k + N, and of row k + N it is row k: torch.arange(2N).roll(N).",
)

NT_XENT = Exercise(
    "nt_xent", "03", nt_xent, CASES, MISTAKES, HINTS, _observe, _memory, "my_nt_xent"
)
NT_XENT_LOOPS = Exercise(
    "nt_xent_loops",
    "03",
    nt_xent,
    CASES,
    MISTAKES,
    (
        "For each row i: the similarity with its partner over τ, and the same for every other row "
        "k ≠ i.",
        "The loss of one anchor: minus the first, plus the logarithm of the sum of exponentials "
        "of all the others. torch.logsumexp does the last part without overflow.",
        "Collect the 2N losses in a list; torch.stack(losses).mean() keeps the gradient.",
    ),
    _observe,
)
