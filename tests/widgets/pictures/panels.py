"""The panels on one picture, small and quick, and a picture for them."""

import numpy as np
import pytest
import torch

from nbvis import DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView

LONG = 60.0
BYTES = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
TENSOR = torch.from_numpy(BYTES.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()

OPTIONS = {
    DreamCanvas: {"layer": "1", "octaves": 2, "steps": 2, "jitter": 2},
    SaliencyView: {"method": "gradient"},
    DropoutInverter: {"layer": "3", "steps": 4, "tolerance": 1e-7},
    LayerExplorer: {"layer": "1"},
}
KINDS = pytest.mark.parametrize("kind", list(OPTIONS))


def shown(widget):
    """What a widget shows once all is done, as a tensor."""
    widget.play()
    assert widget.wait(LONG) and widget.state == "finished", widget.error
    if isinstance(widget, LayerExplorer):
        return widget.returned.map
    return widget.result.map if isinstance(widget, SaliencyView) else widget.result


def remade(widget, network, image):
    """What its recipe makes; it is given what its first line asks for."""
    scope = {"network": network, "image": image}
    exec(widget.recipe(), scope)
    return scope["attribution"].map if "attribution" in scope else scope["picture"]
