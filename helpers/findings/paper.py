"""What the paper measured on ImageNet, in percent: the tables and figures that ours are set beside.

Source: Chen et al. 2020, arXiv 2002.05709v3. The cells of Figure 5 are from memory; their row means
agree with those of the figure, and they were not read from the PDF again.
"""

from helpers.findings.studies import STRENGTHS
from helpers.settings import TRANSFORMS

# Table 1, top-1 of a linear probe: strength of the colour jitter, and blur on top.
TABLE_1 = {
    "contrastive": dict(zip(STRENGTHS, (59.6, 61.0, 62.6, 63.2, 64.5), strict=True)),
    "supervised": dict(zip(STRENGTHS, (77.0, 76.7, 76.5, 75.7, 75.4), strict=True)),
}

# Table 3, what is still known: by guessing, from h, from g(h).
TABLE_3 = {
    "colour or grey": (80.0, 99.3, 97.4),
    "rotation": (25.0, 67.6, 25.6),
    "original or noisy": (50.0, 99.5, 59.6),
    "original or Sobel": (50.0, 96.6, 56.3),
}

# Table 5, by (L2, temperature): contrastive accuracy, top-1.
TABLE_5 = {
    ("yes", "0.05"): (90.5, 59.7),
    ("yes", "0.1"): (87.8, 64.4),
    ("yes", "0.5"): (68.2, 60.7),
    ("yes", "1"): (59.1, 58.0),
    ("no", "10"): (91.7, 57.2),
    ("no", "100"): (92.1, 57.0),
}

# Table 6, top-1 of a linear probe.
TABLE_6 = {"MoCo": 60.6, "PIRL": 63.6, "CPC v2": 63.8, "SimCLR": 69.3, "SimCLR, 4× as wide": 76.5}

# Table 7, top-5 after fine-tuning on 1% and on 10% of the labels.
TABLE_7 = {"supervised": (48.4, 80.4), "SimCLR": (75.5, 87.8), "SimCLR, 4× as wide": (85.8, 92.6)}

# Table B.1, by scaling of the learning rate: a row for each batch size, a column for each length of
# training.
PAPER_BATCHES = (256, 512, 1024, 2048, 4096, 8192)
PAPER_LENGTHS = (100, 200, 400, 800)
TABLE_B1 = {
    "linear": (
        (57.5, 61.9, 64.7, 66.6),
        (60.7, 64.0, 66.2, 67.8),
        (62.8, 65.3, 67.2, 68.5),
        (64.0, 66.1, 68.1, 68.9),
        (64.6, 66.5, 68.2, 68.9),
        (64.8, 66.6, 67.8, 69.0),
    ),
    "sqrt": (
        (62.8, 64.3, 65.7, 66.5),
        (63.8, 65.6, 66.7, 67.4),
        (64.3, 66.1, 67.2, 68.3),
        (64.7, 66.8, 67.9, 68.8),
        (64.5, 66.8, 68.0, 69.1),
        (64.8, 67.0, 68.3, 69.1),
    ),
}

# Figure 5, top-1 of a linear probe: first transform, then second; one transform alone on the
# diagonal.
_FIGURE_5 = {
    "crop": (33.1, 33.9, 56.3, 46.0, 39.9, 35.0, 30.2),
    "cutout": (32.2, 25.6, 33.9, 40.0, 26.5, 25.2, 22.4),
    "color": (55.8, 35.5, 18.8, 21.0, 11.4, 16.5, 20.8),
    "sobel": (46.2, 40.6, 20.9, 4.0, 9.3, 6.2, 4.2),
    "noise": (38.8, 25.8, 7.5, 7.6, 9.8, 9.8, 9.6),
    "blur": (35.1, 25.2, 16.6, 5.8, 9.7, 2.6, 6.7),
    "rotate": (30.0, 22.5, 20.7, 4.3, 9.7, 6.5, 2.6),
}
FIGURE_5 = {
    (first, second): accuracy
    for first, row in _FIGURE_5.items()
    for second, accuracy in zip(TRANSFORMS, row, strict=True)
}
FIGURE_5_NOTE = (
    "Cells of the paper's Figure 5 from memory; their row means agree. Not read from the PDF again."
)
