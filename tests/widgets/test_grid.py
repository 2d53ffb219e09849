"""Many channels at once: a sheet of tiles, from which one is chosen."""

from io import BytesIO

import torch
from PIL import Image

from nbvis.engine import Fourier, ascend, channel, last
from nbvis.widgets import grid

LONG = 60.0


def test_a_page_holds_the_channel_that_is_asked_for():
    assert list(grid.page(10, 0, 4)) == [0, 1, 2, 3]
    assert list(grid.page(10, 9, 4)) == [8, 9]
    assert list(grid.page(10, 99, 4)) == [8, 9]
    assert list(grid.page(3, 2, 24)) == [0, 1, 2]


def test_tiles_stand_row_by_row_on_white_with_gaps():
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 50, 50) / 8
    made = grid.sheet(images)
    assert grid.columns(5) == 3 and tuple(made.shape) == (1, 3, 102, 154) == (1, 3, *grid.sheet_size(5, 50))
    for at, image in enumerate(images):
        top, left = at // 3 * 52, at % 3 * 52
        assert torch.equal(made[0, :, top : top + 50, left : left + 50], image)
    assert (made[..., 50:52, :] == 1).all() and (made[..., 50:52] == 1).all() and (made[0, :, 52:, 104:] == 1).all()


def test_the_channels_of_a_layer_are_drawn_as_one_batch(make, network, image):
    canvas = make(network, image, layer="0", mode="grid", tiles=5, tile=40, updates=3, seed=2)
    assert canvas._tiles == {"channels": [0, 1, 2, 3, 4], "columns": 3, "count": 8}
    assert canvas.size == list(grid.sheet_size(5, 40)) and canvas.result.shape == (5, 3, 40, 40)
    assert canvas.play() is None and canvas.wait(LONG) and canvas.error == ""
    start = Fourier(40, 40, batch=5, seed=2)
    twin = last(ascend(network, [channel("0", k) for k in range(5)], start, steps=3, lr=0.03, seed=2))
    assert torch.equal(canvas.result, twin.image)
    assert Image.open(BytesIO(canvas._picture())).size == (canvas.size[1], canvas.size[0])
    assert canvas._words().startswith("Channels 0 to 4 of 0 in ")


def test_another_page_and_another_layer_show_their_channels(make, network, image):
    canvas = make(network, image, layer="0", mode="grid", tiles=5, tile=40, updates=2)
    canvas.first = 6
    assert canvas._tiles["channels"] == [5, 6, 7] and canvas.size == list(grid.sheet_size(3, 40))
    canvas.layer = "2"
    assert canvas._tiles == {"channels": [5], "columns": 2, "count": 6}
    assert canvas.play() is None and canvas.wait(LONG) and canvas.result.shape == (1, 3, 40, 40)


def test_a_tile_that_is_clicked_is_drawn_large(make, network, image):
    canvas = make(network, image, layer="0", mode="grid", tiles=5, tile=40, updates=2, side=48)
    assert canvas.play() is None and canvas.wait(LONG)
    canvas.set_state({"channel": 3, "mode": "visualise"})
    assert canvas.wait(LONG) and canvas.expression == "channel('0', 3)" and canvas.result.shape == (1, 3, 48, 48)
    assert canvas._session.last.total == 2 and canvas.state == "finished"


def test_the_recipe_of_a_grid_makes_all_its_tiles(make, network, image):
    canvas = make(network, image, layer="0", mode="grid", tiles=3, tile=32, updates=3, parameter="maco")
    canvas.step()
    assert canvas.wait(LONG)
    canvas.layer, canvas.rate = "2", 0.05
    assert canvas.play() is None and canvas.wait(LONG)
    scope = {"network": network}
    exec(compile(canvas.recipe(), "recipe", "exec"), scope)
    assert torch.equal(scope["picture"], canvas.result)
