"""Notebook 03: NT-Xent, with loops first and as matrices then. The mistakes are the classic ones of public code."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from helpers.checks.exercise import Case, Exercise, Mistake, NotDone, NotHere
from helpers.losses import cosine_similarity, nt_xent, positive_index


def _observe(function, z: Tensor, temperature: float) -> dict:
    if z.dtype != torch.float32:
        return _in_half_precision(function, z, temperature)
    z = z.clone().requires_grad_()
    loss = function(z * 1.0, temperature)  # no leaf, so that it may be changed in place
    if loss is None or loss is ...:
        raise NotDone
    gradient = torch.autograd.grad(loss, z, allow_unused=True)[0] if _has_gradient(loss) else None
    loss = loss.reshape(()) if isinstance(loss, Tensor) and loss.numel() == 1 else loss  # in a box, it is the same
    return {"loss": loss, "gradient": "none" if gradient is None else gradient}


def _in_half_precision(function, z: Tensor, temperature: float) -> dict:
    """Asked for the value only; what half precision does not have on this machine is nobody's mistake."""
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
    return logits if masked is None else logits.masked_fill(torch.eye(len(z), dtype=torch.bool), masked)


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
    """Notes how many numbers the largest tensor of its block has: one that is made, or one that inputs broadcast to."""

    numbers = 0

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        tensors = [each for each in arguments if isinstance(each, Tensor) and each.ndim > 2]
        sizes = [math.prod(torch.broadcast_shapes(*(each.shape for each in tensors)))] if len(tensors) > 1 else []
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
    return ("One thing to know: every row is broadcast against every row, (2N)² × D numbers, 2 GiB for 1,024 images "
            "and 128 numbers each. A matrix product of normalised rows gives the same similarities in (2N)² numbers.")


def _z(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(2 * n, d, generator=torch.Generator().manual_seed(seed)) * 2


CASES = (Case((_z(2, 3, 0), 0.5), "two images, τ 0.5"), Case((_z(4, 6, 1), 0.1), "four images, τ 0.1"),
         Case((torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), 0.02), "views far apart, τ 0.02"),
         Case((torch.eye(3, 4).repeat(2, 1), 0.5), "three images whose views are equal"),
         Case((_z(3, 4, 2).half(), 0.5), "three images in half precision", 2e-2))
MISTAKES = (
    Mistake("self-similarity is not masked", "With whom is each view compared in the denominator? Is one of them the "
            "view itself, with similarity 1?", lambda z, t: _loss(_logits(z, t, None))),
    Mistake("the rows are not normalised", "What happens to your loss when all of z is doubled? What should happen?",
            _unnormalized),
    Mistake("the wrong positive: views that alternate", "Rows k and k + N are a pair. Which row does yours take for "
            "the partner of row 0?", _interleaved),
    Mistake("multiplied by τ instead of divided", "Should a lower temperature make the differences between "
            "similarities larger or smaller?", lambda z, t: _loss(_logits(z, 1 / t))),
    Mistake("columns are normalised instead of rows", "Along which axis does one projection lie?",
            lambda z, t: _unnormalized(F.normalize(z.float(), dim=0), t)),
    Mistake("divided by τ twice", "How often does τ come into your logits?", lambda z, t: _loss(_logits(z, t) / t)),
    Mistake("the temperature is left out", "Where does τ come into your logits?",
            lambda z, t: _loss(cosine_similarity(z.float()).fill_diagonal_(-math.inf))),
    Mistake("masked with 0 instead of −∞", "What is e to the power of 0? Is a logit of 0 left out of a softmax?",
            _masked_with_0),
    Mistake("the positive is missing from the denominator", "The denominator sums over all k ≠ i. Is j among them? "
            "(Without it this is another loss, DCL, and can fall below 0.)", _without_positive),
    Mistake("one direction only", "Each of the 2N views is an anchor once. How many anchors does yours have, and with "
            "how many others is each compared?", _one_direction),
    Mistake("cross-view negatives only", "A view's negatives are *all* other views: also those that were drawn first, "
            "like itself. Against how many is each compared in yours?", _cross_views),
    Mistake("first views only", "The second views are anchors too: over how many rows is the mean taken?",
            _first_views_only),
    Mistake("second views only", "The first views are anchors too: over how many rows is the mean taken?",
            lambda z, t: _first_views_only(z.roll(len(z) // 2, 0), t)),
    Mistake("half of the anchors, divided by all", "It is half of what one half of the views give. How many anchors "
            "are summed, and how many divide?", lambda z, t: _first_views_only(z, t) / 2),
    Mistake("the partner's number is wrong for the first half", "Which row is the partner of row 0: row 0, or row N? "
            "(A class that is masked has an infinite loss.)", _own_place),
    Mistake("the sum instead of the mean", "What happens to your loss when the batch gets twice as large?",
            lambda z, t: _loss(_logits(z, t), "sum")),
    Mistake("divided by N instead of 2N", "It is exactly twice the expected value. (Google's code does so on purpose: "
            "its loss is the sum of both directions.) How many anchors are there?",
            lambda z, t: 2 * _loss(_logits(z, t))),
    Mistake("softmax before cross-entropy", "F.cross_entropy takes logits and applies a softmax itself. How many "
            "softmaxes are in yours?", _softmax_first),
    Mistake("the sign", "A probability below 1 has a negative logarithm. Should the loss be above or below 0?",
            lambda z, t: -_loss(_logits(z, t))),
    Mistake("detached: no gradient flows", "The value is right. What does loss.backward() say? Look for .item(), "
            ".detach(), float(), torch.tensor(...) or numpy on the way.", lambda z, t: _loss(_logits(z, t)).detach()),
    Mistake("masked with a number that half precision does not have", "float16 ends at 65,504. Which constant works "
            "in every precision?", _large_number))
HINTS = ("Four steps: normalise the rows, all similarities divided by τ, take out each row's similarity with itself, "
         "and cross-entropy with the partner as the class.",
         "A row of logits is a classification among 2N − 1 other views. What has logit −∞ has probability 0.",
         "The class of row k is row k + N, and of row k + N it is row k: torch.arange(2N).roll(N).")

NT_XENT = Exercise("nt_xent", "03", nt_xent, CASES, MISTAKES, HINTS, _observe, _memory, "my_nt_xent")
NT_XENT_LOOPS = Exercise(
    "nt_xent_loops", "03", nt_xent, CASES, MISTAKES,
    ("For each row i: the similarity with its partner over τ, and the same for every other row k ≠ i.",
     "The loss of one anchor: minus the first, plus the logarithm of the sum of exponentials of all the others. "
     "torch.logsumexp does the last part without overflow.",
     "Collect the 2N losses in a list; torch.stack(losses).mean() keeps the gradient."), _observe)
