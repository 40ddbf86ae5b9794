"""What a notebook keeps of a widget: its view, and text or a picture for where no kernel runs."""

import ipywidgets


def widget_view(widget: ipywidgets.Widget) -> dict:
    """Return the part of a display bundle that shows a widget where its kernel runs."""
    return {
        "application/vnd.jupyter.widget-view+json": {
            "version_major": 2,
            "version_minor": 0,
            "model_id": widget.model_id,
        }
    }


def picture_bundle(widget: ipywidgets.Widget, text: str, png: bytes) -> tuple[dict, dict]:
    """Return the display bundle of a widget that is a PNG elsewhere, with its text as alt text."""
    bundle = {"text/plain": text, "image/png": png, **widget_view(widget)}
    return bundle, {"image/png": {"alt": text}}
