"""SimCLR beside its supervised twin, a random encoder and raw pixels: at home and elsewhere."""

from itertools import product

import torch
from torch import nn

from data.make.encoders import LONG
from data.make.transfer import target_parts
from helpers.artifacts import RESULTS
from helpers.evaluation import evaluate
from helpers.models import build_encoder
from helpers.results import write_results
from helpers.runtime import hardware
from helpers.simclr import load_pretrained


def make_encoders(photos: str, flowers: str) -> None:
    """The encoder of photos beside its supervised twin, a random one and raw pixels: at home, and
    on other images.
    """
    torch.manual_seed(0)
    nets = {
        "raw pixels": nn.Flatten(),
        "random": build_encoder(LONG.encoder).eval(),
        "SimCLR": load_pretrained("cifar10-tiny").encoder,
        "supervised": load_pretrained("cifar10-supervised").encoder,
    }
    rows = []
    for target, (name, net) in product(("cifar10", "flowers17", "shapes"), nets.items()):
        parts = target_parts(target, photos, flowers)
        rows.append(
            {
                "target": target,
                "pretraining": name,
                **evaluate(net, *parts),
                "test_images": len(parts[2]),
                "data": parts[2].name,
                "hardware": hardware(),
                "torch": torch.__version__,
            }
        )
        print(rows[-1], flush=True)
    write_results(RESULTS / "encoders.csv", rows)
