"""The layer pane against the toolbox's formulas, written plainly; its geometry, its colours and what it says."""

import io

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from nbvis.sessions import encoded
from nbvis.widgets.explorer_painting import channel_over, channel_picture, layer_atlas
from nbvis.widgets.painting import COLORMAPS, DIVERGING
from nbvis.widgets.tile_grid import LONGEST, layer_grid, pooled
from nbvis.widgets.tile_look import BROKEN, RED_GREEN, SCALES, TILE_COLORMAPS, TileLook

EPS = 1e-10
KINDS = ("both signs", "negative", "positive", "constant", "zero", "one channel still")


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_kind(kind, maps):
    maps = maps.clone()
    if kind == "one channel still":
        maps[0] = 0
    return {
        "negative": -maps.abs() - 0.5,
        "positive": maps.abs(),
        "constant": torch.full_like(maps, -3.0),
        "zero": maps * 0,
    }.get(kind, maps)


def toolbox(maps, look):
    """The formulas for one channel after the other; what is not finite counts for nothing."""
    maps = maps.double().numpy()
    painted = []
    whole = maps[np.isfinite(maps)]
    for channel in maps:
        own = channel[np.isfinite(channel)]
        within = whole if look.scale == "layer" else own
        if not own.size:
            painted.append(np.full_like(channel, np.nan))
            continue
        if look.signed:
            places = channel / (max(within.max(), -within.min()) + EPS)
        else:
            places = (channel - within.min()) / (within.max() - within.min() + EPS)
        largest = np.abs(places[np.isfinite(channel)]).max()
        painted.append(np.sign(places) * np.abs(places * (largest + EPS) ** -look.boost) ** look.gamma)
    return np.stack(painted)


def tile(tiles, channel):
    """A channel's pixels in red, green and blue."""
    top, left = tiles.grid.place(channel)
    height, width = tiles.grid.tile
    return np.asarray(tiles.image.convert("RGB")).astype(int)[top : top + height, left : left + width]


def colored(places, look):
    """Places in the colours of the look, 0 to 255, as the toolbox mixes them for the two that are linear."""
    return 255 * np.stack([(-places).clip(0), places.clip(0), places * 0] if look.signed else [places] * 3, -1)


def rounding(look):
    """Half a step of the 252 that a picture has, or of the 254 of either sign, and half of an 8-bit one."""
    return 255 / (508 if look.signed else 504) + 0.501


looks = st.builds(
    TileLook,
    st.sampled_from(["gray", RED_GREEN]),
    st.sampled_from(SCALES),
    st.sampled_from([0, 0.3, 0.5, 0.8, 1]),
    st.sampled_from([1, 0.7, 0.5, 0.3]),
)
shapes = st.tuples(st.integers(1, 7), st.integers(1, 6), st.integers(1, 6))


@settings(deadline=None)
@given(st.integers(0, 9999), shapes, st.sampled_from(KINDS), st.integers(-30, 30), looks)
def test_each_tile_is_the_toolboxs_at_any_size_of_the_values(seed, shape, kind, exponent, look):
    maps = of_kind(kind, random(*shape, seed=seed)) * 10.0**exponent
    expected = colored(toolbox(maps.double() / 10.0**exponent, look), look)
    atlas = layer_atlas(maps, look)
    for channel, each in enumerate(expected):
        each = each.repeat(atlas.grid.enlarged, 0).repeat(atlas.grid.enlarged, 1)
        assert np.abs(tile(atlas, channel) - each).max() <= rounding(look)


@settings(deadline=None)
@given(st.integers(0, 9999), shapes, looks, st.floats(0, 1))
def test_what_is_not_finite_is_magenta_and_counted_and_changes_nothing_else(seed, shape, look, part):
    maps = random(*shape, seed=seed)
    chance = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    kinds = torch.tensor([float("nan"), float("inf"), -float("inf")])[torch.arange(maps.numel()) % 3].view(shape)
    maps = torch.where(chance < part, kinds, maps)
    atlas, broken = layer_atlas(maps, look), ~maps.isfinite().numpy()
    places = np.where(broken, 0, toolbox(maps, look))
    expected = np.where(broken[..., None], BROKEN, colored(places, look))
    for channel, each in enumerate(expected):
        each = each.repeat(atlas.grid.enlarged, 0).repeat(atlas.grid.enlarged, 1)
        assert np.abs(tile(atlas, channel) - each).max() <= rounding(look)
    assert atlas.not_finite == broken.sum()
    assert any("NaN or infinite: they are magenta" in note for note in atlas.notes) == broken.any()


def test_magenta_is_no_colour_of_any_map():
    for colormap in TILE_COLORMAPS:
        shown = channel_picture(torch.linspace(-1, 1, 1000).view(1, 1, -1), 0, TileLook(colormap))
        pixels = np.asarray(shown.image.convert("RGB")).astype(int)[0]
        assert np.abs(pixels - BROKEN).max(1).min() > 80, colormap


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_colours_are_matplotlibs_and_zero_has_the_neutral_one(colormap):
    signed = colormap in DIVERGING
    values = torch.linspace(-1 if signed else 0, 1, 253).view(1, 1, -1)
    pixels = np.asarray(channel_picture(values, 0, TileLook(colormap)).image.convert("RGB"))[0] / 255
    expected = matplotlib.colormaps[colormap](np.linspace(0, 1, 253))[:, :3]
    assert np.abs(pixels - expected).max() < 0.02  # matplotlib has 256 levels of its own
    if signed:
        zero = (
            channel_picture(torch.tensor([[[0.0, 5, -1]]]), 0, TileLook(colormap)).image.convert("RGB").getpixel((0, 0))
        )
        assert np.array_equal(zero, np.round(255 * np.array(matplotlib.colormaps[colormap].resampled(3)(0.5)[:3])))


def test_gradients_are_red_below_zero_and_green_above_and_black_at_it():
    shown = channel_picture(torch.tensor([[[-2.0, -1, 0, 1, 2]]]), 0, TileLook(RED_GREEN))
    assert tile(shown, 0)[0].tolist() == [[255, 0, 0], [128, 0, 0], [0, 0, 0], [0, 128, 0], [0, 255, 0]]
    assert shown.between == (-2.0, 2.0) and (shown.colors[0], shown.colors[8], shown.colors[16]) == (
        "#ff0000", "#000000", "#00ff00",
    )  # fmt: skip


def test_the_bar_has_the_colours_of_its_values():
    maps = torch.linspace(-1, 3, 17).view(1, 1, -1)
    for look in (TileLook("jet", gamma=0.5), TileLook("viridis"), TileLook("RdBu_r", gamma=0.3)):
        shown = layer_atlas(maps, look)
        assert shown.between is not None and shown.between == ((-3.0, 3.0) if look.signed else (-1.0, 3.0))
        along = torch.linspace(*shown.between, 17).view(1, 1, -1)
        expected = tile(channel_picture(along, 0, look), 0)[0]
        assert np.abs(255 * np.array([to_rgb(color) for color in shown.colors]) - expected).max() <= 1


def test_no_bar_begins_at_minus_zero():
    assert str(layer_atlas(torch.tensor([-0.0, 1]), TileLook()).between) == "(0.0, 1.0)"


@pytest.mark.parametrize("look", [TileLook(boost=0.3), TileLook(scale="channel")])
def test_there_is_no_bar_where_a_colour_means_another_value_in_each_channel(look):
    shown = layer_atlas(random(3, 4, 5), look)
    assert shown.between is None and shown.colors == ()


def test_all_channels_reach_the_last_colour_at_full_boost():
    maps = random(5, 4, 6).abs() * torch.tensor([1, 0.1, 0.01, 1e-3, 1e-4]).view(5, 1, 1)
    maps[:, 0, 0] = 0
    atlas = layer_atlas(maps, TileLook(boost=1.0))
    assert [tile(atlas, channel).max() for channel in range(5)] == [255] * 5


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 40), st.integers(1, 40)),
    st.floats(0.05, 20), st.integers(0, 299), st.integers(1, 300),
)  # fmt: skip
def test_a_click_finds_the_channel_whose_place_it_is(shape, ratio, first, last):
    first, last = sorted((min(first, shape[0] - 1), min(last, shape[0])))
    grid = layer_grid(shape, ratio, first, max(last, first + 1))
    taken = np.zeros(grid.size, int)
    for channel in range(grid.first, grid.last):
        top, left = grid.place(channel)
        bottom, right = top + grid.tile[0], left + grid.tile[1]
        taken[top:bottom, left:right] += 1
        for pixel in ((top, left), (bottom - 1, left), (top, right - 1), (bottom - 1, right - 1)):
            assert grid.channel_at(*pixel) == channel
    assert taken.max() == 1 and taken.sum() == (grid.last - grid.first) * grid.tile[0] * grid.tile[1]
    for row, column in ((-1, 0), (0, -1), (grid.size[0], 0), (0, grid.size[1])):
        assert grid.channel_at(row, column) is None


@pytest.mark.parametrize(
    ("channels", "ratio", "rows", "columns"),
    [(512, 1.0, 23, 23), (1000, 1.0, 32, 32), (64, 1.0, 8, 8), (64, 2.0, 6, 12), (1, 1.0, 1, 1), (4, 100.0, 1, 4)],
)
def test_the_grid_is_the_toolboxs(channels, ratio, rows, columns):
    grid = layer_grid((channels, 7, 7), ratio)
    assert (grid.rows, grid.columns) == (rows, columns)
    assert grid.size == (rows * 8 - 1, columns * 8 - 1)


def test_an_empty_cell_holds_no_channel_and_is_clear_as_the_lines_between_tiles_are():
    atlas = layer_atlas(random(5, 4, 6), TileLook())
    with Image.open(io.BytesIO(encoded(atlas.image, lossless=True))) as read:
        alpha = np.asarray(read.convert("RGBA"))[..., 3]
    expected = np.zeros(atlas.grid.size)
    for channel in range(5):
        top, left = atlas.grid.place(channel)
        expected[top : top + 4, left : left + 6] = 255
    assert np.array_equal(alpha, expected)
    assert atlas.grid.channel_at(8, 19) is None and atlas.grid.channel_at(4, 6) == 0


def test_the_front_end_gets_all_that_places_depend_on():
    grid = layer_grid((2048, 7, 7), first=100, last=110)
    assert grid.header() == {
        "first": 100, "last": 110, "rows": 3, "columns": 4, "tile": [7, 7], "pooled": 1, "enlarged": 1,
        "size": [23, 31], "padding": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "shape",
    [(64, 224, 224), (2048, 7, 7), (512, 28, 28), (10_000, 28, 28), (3, 2000, 10), (1, 5000, 1), (100_000, 1, 1)],
)
def test_no_picture_is_longer_than_it_may_be_nor_smaller_than_it_must(shape):
    grid = layer_grid(shape)
    assert max(grid.size) <= LONGEST
    finer = [-(-side // max(1, grid.pooled - 1)) for side in shape[1:]]
    longer = grid.rows * (finer[0] + 1) - 1, grid.columns * (finer[1] + 1) - 1
    assert grid.pooled == 1 or max(longer) > LONGEST


@pytest.mark.parametrize(("shape", "tile"), [((1, 1), (3, 3)), ((2, 1), (4, 2)), ((1, 3), (1, 3))])
def test_tiny_maps_are_enlarged_so_that_they_can_be_hit(shape, tile):
    assert layer_grid((10, *shape)).tile == tile


def test_a_vector_is_tiles_of_one_colour():
    atlas = layer_atlas(torch.arange(10.0), TileLook())
    for channel in range(10):
        assert np.abs(tile(atlas, channel) - round(255 * channel / 9)).max() <= 1
    assert atlas.grid.tile == (3, 3)


@pytest.mark.parametrize("share", [1, 2, 3, 5])
def test_a_pixel_shows_the_strongest_of_its_activations(share):
    maps = random(3, 7, 10)
    for channel in range(3):
        for row in range(-(-7 // share)):
            for column in range(-(-10 // share)):
                cell = maps[channel, row * share : (row + 1) * share, column * share : (column + 1) * share].flatten()
                assert pooled(maps, share)[channel, row, column] == cell[cell.abs().argmax()]


def test_a_large_layer_keeps_its_limits_and_says_what_a_pixel_is():
    maps = torch.full((64, 100, 150), 0.5)
    maps[7, 33, 44], maps[8, 0, 0], maps[9, 10, 10] = 4.0, 0.0, float("nan")
    atlas = layer_atlas(maps, TileLook())
    share = atlas.grid.pooled
    assert share == 2 and "A pixel shows the strongest of 2 × 2 activations." in atlas.notes
    assert atlas.between == (0.0, 4.0)
    bright = np.argwhere(tile(atlas, 7)[..., 0] == 255).tolist()
    assert bright == [[33 // share, 44 // share]]
    assert tile(atlas, 9)[5, 5].tolist() == list(BROKEN) and atlas.not_finite == 1


@pytest.mark.parametrize("look", [TileLook(boost=0.5, gamma=0.7), TileLook("RdBu_r"), TileLook(scale="channel")])
def test_a_page_and_a_single_channel_have_the_colours_of_the_whole_layer(look):
    maps = random(30, 5, 8)
    whole, page = layer_atlas(maps, look), layer_atlas(maps, look, first=10, last=17)
    assert page.between == whole.between and page.image.size != whole.image.size
    for channel in range(10, 17):
        alone = channel_picture(maps, channel, look)
        assert alone.image.size == (8, 5) and alone.grid.place(channel) == (0, 0)
        assert np.array_equal(tile(page, channel), tile(whole, channel))
        assert np.array_equal(tile(alone, channel), tile(whole, channel))


@pytest.mark.parametrize(
    ("maps", "look", "note"),
    [
        (torch.zeros(3, 2, 2), TileLook(), "Every value of the layer is 0, so no channel stands out."),
        (-torch.zeros(3, 2, 2), TileLook(), "Every value of the layer is 0, so no channel stands out."),
        (torch.full((3, 2, 2), 2.5), TileLook(), "Every value of the layer is 2.5, so no channel stands out."),
        (torch.zeros(3, 2, 2), TileLook(RED_GREEN), "Every value of the layer is 0, so no channel stands out."),
        (torch.arange(4.0), TileLook(scale="channel"), "Each channel has one value only"),
    ],
)
def test_a_picture_of_one_colour_is_said_to_be_one(maps, look, note):
    shown = layer_atlas(maps, look)
    assert len(np.unique(tile(shown, 1))) == 1
    assert len(shown.notes) == 1 and shown.notes[0].startswith(note)
    assert layer_atlas(random(3, 2, 2), look).notes == ()


@pytest.mark.parametrize("overlay", ["active", "inactive"])
@pytest.mark.parametrize("look", [TileLook(), TileLook(boost=0.5, gamma=0.5), TileLook(RED_GREEN)])
def test_a_channel_over_the_image_is_the_toolboxs(overlay, look):
    maps, image = random(4, 5, 7), torch.rand(3, 23, 30, generator=torch.Generator().manual_seed(1))
    places = toolbox(maps, look)[2]
    rows, columns = ((np.arange(n) + 0.5) * m // n for n, m in ((23, 5), (30, 7)))
    places = places[rows.astype(int)][:, columns.astype(int)]
    tiled, shown = colored(places, look) / 255, image.movedim(0, -1).numpy()
    m = np.abs(places)[..., None]
    expected = m * shown + (1 - m) * tiled if overlay == "active" else np.where(m < 0.1, shown, tiled)
    pixels = np.asarray(channel_over(maps, 2, look, image, overlay).image).astype(int)
    assert np.abs(pixels - 255 * expected).max() <= rounding(look)
    assert pixels.shape == (23, 30, 3)


def test_what_is_not_finite_in_a_channel_hides_the_image():
    maps = torch.tensor([[[1.0, float("nan")], [0.0, 0.0]]])
    shown = channel_over(maps, 0, TileLook(), torch.ones(3, 4, 4), "active")
    pixels = np.asarray(shown.image)
    assert shown.not_finite == 1 and shown.notes == ("1 of 4 values are NaN or infinite: they are magenta.",)
    assert (pixels[:2, 2:] == BROKEN).all() and (pixels[:, :2] != BROKEN).any(-1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_other_types_of_numbers_are_painted_alike(dtype):
    maps = torch.arange(24).view(2, 3, 4)
    assert layer_atlas(maps.to(dtype), TileLook()).image.tobytes() == layer_atlas(maps, TileLook()).image.tobytes()


def test_the_layer_is_left_as_it_was():
    maps = random(3, 4, 5).requires_grad_()
    before = maps.detach().clone()
    layer_atlas(maps, TileLook(RED_GREEN, gamma=0.5))
    channel_over(maps, 0, TileLook(), torch.ones(3, 8, 8), "active")
    assert torch.equal(maps, before) and maps.requires_grad and maps.grad is None


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda maps: layer_atlas(maps, TileLook("mauve")), "no colour map 'mauve'; there are RdBu_r"),
        (lambda maps: layer_atlas(maps, TileLook(scale="image")), "one of layer, channel, not 'image'"),
        (lambda maps: layer_atlas(maps, TileLook(boost=2)), "not 2 and 1.0"),
        (lambda maps: layer_atlas(maps, TileLook(gamma=0)), "not 0.0 and 0"),
        (lambda maps: layer_atlas(maps[None], TileLook()), r"not \(1, 3, 4, 5\)"),
        (lambda maps: layer_atlas(maps[:0], TileLook()), r"not \(0, 4, 5\)"),
        (
            lambda maps: layer_atlas(maps, TileLook(), first=2, last=9),
            "0 to 2 none are from 2 on and before 9",
        ),
        (lambda maps: layer_atlas(maps, TileLook(), -1.0), "above 0, not -1.0"),
        (lambda maps: channel_picture(maps, 3, TileLook()), "channels 0 to 2, not 3"),
        (lambda maps: layer_atlas(maps, TileLook(), last=2).grid.place(2), "0 to 1 are shown, not 2"),
        (lambda maps: channel_over(maps, 0, TileLook(), torch.ones(3, 8, 8), "blend"), "not 'blend'"),
        (lambda maps: channel_over(maps, 0, TileLook(), torch.ones(1, 8, 8), "active"), r"not \(1, 8, 8\)"),
    ],
)
def test_an_error_says_what_was_given_and_what_there_is(call, error):
    with pytest.raises(ValueError, match=error):
        call(random(3, 4, 5))
