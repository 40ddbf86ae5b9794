"""What transforms cost that destroy what is asked for."""

from dataclasses import replace

import torch
from torch import nn

from data.make.runs import NO_COLOR, RUNS, made_how, trained
from helpers.artifacts import RESULTS
from helpers.augmentations import rotate
from helpers.data import ImageSet, load
from helpers.evaluation import evaluate
from helpers.results import write_results
from helpers.simclr import load_pretrained, settings_for


def make_stay(flowers: str, seeds: int) -> None:
    """What a transform takes away from h and z: the turn of a digit, the colour of flowers, the hue
    of shapes.
    """
    rows = []
    digits, petals, hues = (
        [load(data, split, size=32) for split in ("train", "val", "test")]
        for data in ("digits", flowers, "shapes")
    )
    for part in hues:
        part.labels, part.classes = (part.factors["hue"] * 6).long(), tuple("123456")
    questions = {
        "digits": (
            ("6 or 9?", [part.only(("6", "9")) for part in digits]),
            ("upright or upside down?", [_both_ways_up(part) for part in digits]),
        ),
        "flowers17": (("which flower?", petals),),
        "shapes": (("which of six hues?", hues),),
    }
    for seed in range(seeds):
        turned = settings_for("laptop", "digits", epochs=30.0, flip_p=0.0, crop_min=0.5, seed=seed)
        plain = settings_for("laptop", flowers, epochs=60.0, seed=seed)
        runs = {
            ("digits", "no rotation"): trained(
                f"stay-digits-no-rotation-seed{seed}", "digits", turned
            ),
            ("digits", "rotation"): trained(
                f"stay-digits-rotation-seed{seed}", "digits", replace(turned, rotate_p=0.75)
            ),
            ("flowers17", "colour transforms"): trained(
                f"stay-flowers17-with-colour-transforms-seed{seed}", flowers, plain, size=32
            ),
            ("flowers17", "no colour transforms"): trained(
                f"stay-flowers17-without-colour-transforms-seed{seed}",
                flowers,
                replace(plain, **NO_COLOR),
                size=32,
            ),
            ("shapes", "colour transforms"): load_pretrained(RUNS / f"laptop-shapes-seed{seed}"),
            ("shapes", "no colour transforms"): load_pretrained(
                RUNS / f"nocolor-shapes-seed{seed}"
            ),
        }
        for (data, condition), found in runs.items():
            for question, parts in questions[data]:
                of_z = evaluate(nn.Sequential(found.encoder, found.head).eval(), *parts)
                rows.append(
                    {
                        "data": data,
                        "question": question,
                        "transforms": condition,
                        "seed": seed,
                        "chance": 1 / len(parts[0].classes),
                        "test_images": len(parts[2]),
                        **evaluate(found.encoder, *parts),
                        "knn_z": of_z["knn"],
                        "probe_z": of_z["probe"],
                        **made_how(found.card),
                    }
                )
                print(rows[-1], flush=True)
        write_results(RESULTS / "what_must_stay.csv", rows)


def _both_ways_up(part: ImageSet) -> ImageSet:
    """Every digit that does not look alike turned by 180 degrees, both ways up; the label says
    which.
    """
    images = part.images[torch.isin(part.labels, torch.tensor([2, 3, 4, 5, 6, 7, 9]))]
    turned = rotate(images, torch.full((len(images),), 2))
    return ImageSet(
        part.name,
        torch.cat([images, turned]),
        torch.arange(2).repeat_interleave(len(images)),
        ("upright", "upside down"),
    )
