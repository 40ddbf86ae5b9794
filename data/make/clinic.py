"""A healthy run and three faulty ones, for the clinic of notebook 04."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.artifacts import RESULTS
from helpers.data import load
from helpers.losses import nt_xent
from helpers.results import write_results
from helpers.simclr import pretrain, settings_for


def pull_only(projections: Tensor, temperature: float) -> Tensor:
    """A loss without negatives: pull pairs together, and nothing else."""
    first, second = F.normalize(projections, dim=1).chunk(2)
    return _shown_as_nt_xent(
        -(first * second).sum(dim=1).mean() / temperature, projections, temperature
    )


def wrong_positive(projections: Tensor, temperature: float) -> Tensor:
    """NT-Xent for views that alternate, given views that are stacked: row k is paired with row k +
    1.
    """
    alternating = torch.cat([projections[0::2], projections[1::2]])
    return _shown_as_nt_xent(nt_xent(alternating, temperature), projections, temperature)


def _shown_as_nt_xent(loss: Tensor, projections: Tensor, temperature: float) -> Tensor:
    # The gradient is the faulty loss's, the value NT-Xent as it should have been: curves that can
    # be compared.
    return loss + (nt_xent(projections, temperature) - loss).detach()


def make_clinic() -> None:
    """Curves of a healthy run and of three faulty ones, with NT-Xent as it should have been
    computed.
    """
    settings = settings_for("laptop", "shapes", epochs=4.0)
    images, val = load("shapes", "train"), load("shapes", "val")
    patients = {
        "healthy": (settings, None),
        # A head that ends in BatchNorm keeps the spread of a batch up, and would hide the collapse.
        "A": (replace(settings, head="linear"), pull_only),
        "B": (settings, wrong_positive),
        "C": (replace(settings, lr=settings.lr * 500), None),
    }
    rows = []
    for name, (each, loss) in patients.items():
        result = pretrain(images, each, val=val, loss=loss)
        rows += [{"run": name, "batch_size": each.batch_size, **row} for row in result.history]
    write_results(RESULTS / "clinic.csv", rows)
