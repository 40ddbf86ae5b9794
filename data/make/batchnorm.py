"""What moving BatchNorm statistics do to a frozen encoder."""

from itertools import product

import torch

from data.make.transfer import target_parts
from helpers.artifacts import RESULTS
from helpers.data import nested_subset
from helpers.results import write_results
from helpers.runtime import hardware
from helpers.simclr import load_pretrained
from helpers.transfer import train_last_layers


def make_batchnorm(seeds: int) -> None:
    """What BatchNorm statistics that move under a frozen encoder do: the switch of notebook 05,
    over seeds.
    """
    encoder = load_pretrained("shapes-six").encoder
    train, val, test = target_parts("shapes", "", "")
    rows = []
    for per_class, seed, mode in product((5, 20, 100), range(seeds), ("eval", "train")):
        few, asked = (
            part.subset(nested_subset(part.labels, per_class, seed)) for part in (train, val)
        )
        fitted = train_last_layers(
            encoder, few, asked, augment="colour", encoder_mode=mode, steps=300, seed=seed
        )
        rows.append(
            {
                "encoder": "shapes-six",
                "encoder_mode": mode,
                "labels": per_class,
                "seed": seed,
                "accuracy": fitted.accuracy(test),
                "test_images": len(test),
                "before": fitted.fingerprints[0],
                "after": fitted.fingerprints[1],
                "hardware": hardware(),
                "torch": torch.__version__,
            }
        )
        print(rows[-1], flush=True)
    write_results(RESULTS / "batchnorm_bug.csv", rows)
