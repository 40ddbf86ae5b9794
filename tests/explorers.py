"""What the tests and the benchmark of the explorers share: all of them, and a hand that moves their
controls.
"""

import ipywidgets

from helpers.models import build_encoder
from helpers.own_images import sample_images
from helpers.settings import settings_for
from helpers.widgets.angle import AngleExplorer
from helpers.widgets.by_hand import ByHand
from helpers.widgets.circle import CircleExplorer
from helpers.widgets.composition import CompositionExplorer
from helpers.widgets.embedding import EmbeddingExplorer
from helpers.widgets.histograms import HistogramExplorer
from helpers.widgets.matrix import MatrixExplorer
from helpers.widgets.options import OptionsExplorer
from helpers.widgets.policy import PolicyExplorer
from helpers.widgets.search import SearchExplorer
from helpers.widgets.self_prediction import (
    ColorizationExplorer,
    DenoisingExplorer,
    JigsawExplorer,
    MaskedExplorer,
    RotationExplorer,
)
from helpers.widgets.transforms import TransformsExplorer
from helpers.widgets.two_views import TwoViewsExplorer


def policy_of_samples() -> PolicyExplorer:
    """The capstone's explorer of transforms, on the course's samples."""
    return PolicyExplorer(sample_images(), settings_for("laptop", "cifar10"))


def search_in_samples() -> SearchExplorer:
    """The capstone's search, on the course's samples."""
    return SearchExplorer(sample_images(), {"an encoder": build_encoder("tiny").eval()}, 32)


EXPLORERS = (
    MaskedExplorer,
    DenoisingExplorer,
    ColorizationExplorer,
    RotationExplorer,
    JigsawExplorer,
    CircleExplorer,
    TransformsExplorer,
    TwoViewsExplorer,
    HistogramExplorer,
    AngleExplorer,
    MatrixExplorer,
    ByHand,
    EmbeddingExplorer,
    OptionsExplorer,
    CompositionExplorer,
    policy_of_samples,
    search_in_samples,
)


def move(control: ipywidgets.Widget, turn: int) -> bool:
    """Change a control to another value, as a student would; tell whether it is one that can be
    changed so.
    """
    if isinstance(control, (ipywidgets.Dropdown, ipywidgets.SelectionSlider)):
        control.index = (control.index + 1) % len(control.options)
    elif isinstance(control, ipywidgets.Checkbox):
        control.value = not control.value
    elif isinstance(control, (ipywidgets.IntSlider, ipywidgets.FloatSlider)):
        places = max(1, round((control.max - control.min) / control.step))
        control.value = control.min + control.step * ((turn * 7 + 3) % (places + 1))
    elif isinstance(control, ipywidgets.Button):
        # click() would log what they raise, and go on
        for callback in control._click_handlers.callbacks:
            callback(control)
    else:
        return False
    return True
