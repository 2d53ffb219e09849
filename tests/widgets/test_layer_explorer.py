import pytest
import torch
from PIL import Image
from torch import nn

from nbvis import LayerExplorer
from nbvis.engine import Network, activations, attribute, channel, collect, energy, layers, planes, unit
from nbvis.widgets.explorer_painting import channel_picture, layer_atlas
from nbvis.widgets.tile_look import TileLook
from tests.pictures import opened

LONG = 60.0


@pytest.fixture
def network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3, stride=2)
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    return Network(module, labels=["cat", "dog", "cup", "sea"], device="cpu")


@pytest.fixture
def make(network, image):
    made = []

    def make(*given, **options):
        made.append(LayerExplorer(*(given or (network, image)), **options))
        return made[-1]

    yield make
    for explorer in made:
        explorer.close()


class Screen:
    """A view that draws whatever it is sent."""

    def __init__(self, widget, monkeypatch):
        self.widget, self.messages = widget, []
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: self.messages.append((content, buffers)))
        self.tell(type="joined", view="a", lab=True)

    def tell(self, **content):
        self.widget._on_message(self.widget, content, [])

    def settled(self):
        """The newest frame with pictures, and its panes and pictures by their keys."""
        assert self.widget.wait(LONG)
        drawn = -1
        while (newest := max(c["frame"] for c, _ in self.messages if c["type"] == "frame")) != drawn:
            drawn = newest
            self.tell(type="drawn", view="a", frame=drawn)
            assert self.widget.wait(LONG)
        content, buffers = [(c, b) for c, b in self.messages if c["type"] == "frame" and c["format"]][-1]
        panes = {pane["key"]: pane for pane in content["panes"]}
        return (
            content,
            panes,
            {k: opened(buffers[p["picture"]]) for k, p in panes.items() if not p["note"]},
        )


@pytest.fixture
def screen(monkeypatch):
    return lambda widget: Screen(widget, monkeypatch)


def maps(network, image, layer):
    return planes(activations(network, image, [layer]), layer)[0].detach()


def test_it_shows_the_activations_and_what_comes_back_to_the_bit(make, network, image):
    explorer = make(layer="1", channel=3)
    assert torch.equal(explorer.result, maps(network, image, "1"))
    assert torch.equal(explorer.returned.map, attribute(network, image, energy("1", 3)).map)
    explorer.back = "guided_backprop"
    assert torch.equal(explorer.returned.map, attribute(network, image, energy("1", 3), method="guided_backprop").map)
    explorer.back = "off"
    assert explorer.returned is None and explorer.origin == "" and explorer.error == ""


def test_it_begins_in_the_middle_with_the_channel_that_answers_most(make, network, image):
    explorer = make()
    assert explorer.layer == "2"
    assert explorer.channel == maps(network, image, "2").flatten(1).amax(1).argmax()
    assert [row["name"] for row in explorer.layers] == ["0", "1", "2", "3", "4", "5", "6"]
    assert [row["field"] for row in explorer.layers][:4] == [[3, 3], [3, 3], [5, 5], [5, 5]]
    assert explorer.layers[0] == {
        "name": "0",
        "kind": "Conv2d",
        "shape": [8, 30, 46],
        "field": [3, 3],
        "calls": 1,
        "dead": None,
        "pictures": 1,
        "rows": 1,
    }
    assert {each["label"] for each in explorer.top} == {"cat", "dog", "cup", "sea"}
    assert "2:" in explorer.status and "5 × 5 px" in explorer.status


def test_the_frame_has_the_channels_the_unit_and_what_it_sees(make, network, image, screen):
    explorer = make(layer="2", channel=4)
    content, panes, pictures = screen(explorer).settled()
    found = maps(network, image, "2")
    assert list(panes) == ["input", "layer", "channel", "back"]
    look = TileLook("RdBu_r")
    assert pictures["layer"].convert("RGBA").tobytes() == layer_atlas(found, look).image.convert("RGBA").tobytes()
    assert (
        pictures["channel"].convert("RGB").tobytes() == channel_picture(found, 4, look).image.convert("RGB").tobytes()
    )
    place = divmod(int(found[4].argmax()), found.shape[2])
    assert content["place"] == list(place) and content["grid"]["columns"] == 3 and content["grid"]["tile"] == [14, 22]
    (top, bottom), (left, right) = next(each for each in layers(network, image) if each.name == "2").box(*place)
    assert content["fields"] == [[top, left, bottom, right]] and content["lanes"] == [[0, 1]]


def test_a_place_is_chosen_and_sends_its_own_signal_back(make, network, image):
    explorer = make(layer="2", channel=4, seed="place")
    found = maps(network, image, "2")
    strongest = divmod(int(found[4].argmax()), found.shape[2])
    assert torch.equal(explorer.returned.map, attribute(network, image, unit("2", 4, *strongest)).map)
    explorer.place = [1, 2]
    assert torch.equal(explorer.returned.map, attribute(network, image, unit("2", 4, 1, 2)).map)
    assert "unit('2', 4, 1, 2)" in explorer.recipe()
    with pytest.raises(ValueError, match=r"in a channel of 14 × 22, or empty .*, not \[14, 0\]"):
        explorer.place = [14, 0]
    explorer.layer = "6"
    assert explorer.place == [] and torch.equal(explorer.returned.map, attribute(network, image, channel("6", 3)).map)


@pytest.mark.parametrize("chosen", [{}, {"layer": "1", "channel": 3}])
def test_an_explorer_can_begin_with_its_origin_frozen(make, chosen):
    explorer = make(frozen=True, **chosen)
    assert explorer.wait(LONG)
    origin = f"{explorer.layer}:{explorer.channel}"
    explorer.layer = "0"
    assert explorer.returned is not None and explorer.origin == origin != "0:0"


def test_a_frozen_origin_stays_while_other_layers_are_walked(make, network, image, screen):
    explorer = make(layer="3", channel=2, shows="gradients")
    seen = screen(explorer)
    seen.settled()
    explorer.frozen = True
    explorer.layer, explorer.channel = "1", 5
    assert explorer.origin == "3:2" or (explorer.wait(LONG) and explorer.origin == "3:2")
    _, panes, pictures = seen.settled()
    wanted = attribute(network, image, energy("3", 2), layer="1").map[0]
    expected = layer_atlas(wanted, TileLook("red-green")).image
    assert panes["layer"]["title"] == "Gradients"
    assert pictures["layer"].convert("RGBA").tobytes() == expected.convert("RGBA").tobytes()
    assert torch.equal(explorer.returned.map, attribute(network, image, energy("3", 2)).map)
    explorer.layer = "6"  # comes after the origin
    _, panes, _ = seen.settled()
    assert "has no gradient at layer '6'" in panes["layer"]["note"]
    explorer.frozen = False
    assert torch.equal(explorer.returned.map, attribute(network, image, energy("6", explorer.channel)).map)


def test_gradients_without_a_way_back_say_so(make, screen):
    explorer = make(layer="1", shows="gradients", back="off")
    _, panes, _ = screen(explorer).settled()
    assert panes["layer"]["note"].startswith("Nothing is sent back") and "back" not in panes


def test_a_way_back_that_does_not_apply_says_so(make, image, screen):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3))
    explorer = make(net, image, layer="2", back="guided_backprop")
    _, panes, pictures = screen(explorer).settled()
    assert "silu" in panes["back"]["note"].lower() and "layer" in pictures and explorer.state == "finished"
    with pytest.raises(RuntimeError, match=r"there is nothing to give: .*rules for ReLU"):
        _ = explorer.returned


@pytest.mark.parametrize("view", ["raw", "grey", "norm", "norm_blur", "sum_positive", "histogram"])
def test_each_view_is_another_picture(make, screen, view):
    explorer = make(layer="3", view="signed")
    seen = screen(explorer)
    before = seen.settled()[2]["back"].convert("RGBA").tobytes()
    explorer.view = view
    assert seen.settled()[2]["back"].convert("RGBA").tobytes() != before


def test_what_can_be_set_changes_the_picture_it_is_about(make, screen):
    explorer = make(layer="1", view="norm")
    seen = screen(explorer)
    before = {key: each.convert("RGBA").tobytes() for key, each in seen.settled()[2].items()}
    changed = {
        "boost": (0.5, {"layer"}), "gamma": (0.5, {"layer", "channel"}), "scale": ("channel", {"layer"}),
        "overlay": ("active", {"channel", "back"}), "colormap": ("plasma", {"layer", "channel", "back"}),
    }  # fmt: skip
    for name, (value, about) in changed.items():
        default = getattr(explorer, name)
        setattr(explorer, name, value)
        now = {key: each.convert("RGBA").tobytes() for key, each in seen.settled()[2].items()}
        assert {key for key in now if now[key] != before[key]} >= about, name
        assert now["input"] == before["input"]
        setattr(explorer, name, default)


def test_the_value_under_the_mouse_is_said(make, network, image, screen):
    explorer = make(layer="2", channel=4)
    screen(explorer).settled()
    found = maps(network, image, "2")
    said = explorer._value("channel", 3, 5)
    assert said.startswith("channel 4 · row 3, column 5 · ") and f"{found[4, 3, 5]:.4g}".lstrip("-") in said
    top, left = 15, 23  # the second row and column of tiles
    assert explorer._value("layer", top + 2, left + 1).startswith("channel 4 · row 2, column 1")
    assert explorer._value("layer", 0, 10**6) == "no channel"
    assert explorer._value("input", 1, 2).startswith("row 1, column 2 · red")
    assert explorer._value("back", 1, 2).startswith("row 1, column 2")


def test_layers_without_rows_and_columns_are_shown_as_what_they_are(make, network, image, screen):
    explorer = make(layer="6", channel=1, seed="place")
    content, panes, _ = screen(explorer).settled()
    assert (
        panes["layer"]["sub"] == "4 channels"
        and content["grid"]["tile"] == [3, 3]
        and explorer.result.shape == (4, 1, 1)
    )
    assert torch.equal(explorer.returned.map, attribute(network, image, channel("6", 1)).map)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.mix = nn.Conv2d(3, 6, 8, stride=8), nn.Linear(6, 6)

        def forward(self, x):
            return self.mix(self.patches(x).flatten(2).transpose(1, 2)).mean(1)

    explorer = make(Tokens(), image, layer="mix", channel=2)
    _, panes, _ = screen(explorer).settled()
    assert explorer.result.shape == (6, 4, 6) and panes["layer"]["note"] == ""


def test_a_layer_of_many_channels_has_pages(make, image, screen):
    explorer = make(nn.Sequential(nn.Conv2d(3, 2500, 8, stride=8)), image, layer="0", channel=2100)
    content, _, _ = screen(explorer).settled()
    assert (explorer.page, explorer.pages) == (2, 3) and (content["grid"]["first"], content["grid"]["last"]) == (
        2048,
        2500,
    )
    explorer.page = 0
    assert screen(explorer).settled()[0]["grid"]["last"] == 1024
    with pytest.raises(ValueError, match="no page 3: layer '0' has 3, counted from 0"):
        explorer.page = 3


def test_statistics_say_what_is_dead_and_those_of_another_network_are_refused(make, network, image):
    with torch.no_grad():
        network.module[0].bias[2] = -100
    found = collect(network, [image])
    explorer = make(network, image, found)
    assert {row["name"]: row["dead"] for row in explorer.layers}["1"] == int((found["1"].maximum <= 0).sum()) > 0
    with pytest.raises(ValueError, match="of another network"):
        make(nn.Sequential(nn.Conv2d(3, 8, 3)), image, found)


def test_the_recipe_makes_what_is_shown(make, network, image):
    for options in ({"layer": "2", "channel": 4}, {"layer": "3", "channel": 1, "seed": "place", "back": "deconvnet"}):
        explorer = make(**options)
        expected, returned = explorer.result, explorer.returned
        made = {"network": network, "image": image}
        exec(explorer.recipe(), made)
        assert torch.equal(made["maps"], expected) and torch.equal(made["attribution"].map, returned.map)
        assert torch.equal(made["activation"], expected[options["channel"]])


def test_another_picture_and_a_trained_network_are_looked_at_anew(make, network, image):
    explorer = make(layer="2", channel=1)
    before = explorer.result
    explorer.image = 1 - image
    assert torch.equal(explorer.result, maps(network, 1 - image, "2")) and not torch.equal(explorer.result, before)
    with torch.no_grad():
        network.module[0].weight.mul_(2)
    explorer._check_network()
    assert "The network has changed since this was computed" in explorer.notes
    assert torch.equal(explorer.result, maps(network, 1 - image, "2"))


def test_what_cannot_be_is_refused(make, network, image):
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        make(network, image, layer="nowhere")
    explorer = make(layer="2")
    for name, value, words in [
        ("channel", 6, "no channel 6: layer '2' has 6, 0 to 5"),
        ("channel", -1, "no channel -1"),
        ("shows", "all", "no shows 'all'"),
        ("back", "forward", "no back 'forward'"),
        ("seed", "all", "no seed 'all'"),
        ("overlay", "blend", "no overlay 'blend'"),
        ("colormap", "pink", "no colormap 'pink'"),
        ("scale", "all", "no scale 'all'"),
        ("gamma", 0, "Gamma"),
    ]:
        explorer.set_state({name: value})
        assert words in explorer.error and getattr(explorer, name) != value
    explorer.set_state({"channel": 2})
    assert explorer.error == ""
    explorer.unit = "0", 7
    assert explorer.unit == ("0", 7)
    explorer.layer = "2"
    assert explorer.channel == 5  # the last there is


def test_values_that_are_not_finite_are_told(make, image, screen):
    class Broken(nn.Module):
        def forward(self, x):
            y = x * 2
            y[:, 0, 0, 0] = torch.nan
            return y

    explorer = make(nn.Sequential(nn.Conv2d(3, 4, 3), Broken()), image, layer="1", channel=0, back="off")
    screen(explorer).settled()
    assert "1 of 5,520 values are NaN or infinite: they are magenta." in explorer.notes


def test_the_network_is_left_as_it_was(make, network, image):
    network.module.train()
    state = {name: each.clone() for name, each in network.module.state_dict().items()}
    chance = torch.get_rng_state()
    explorer = make(layer="3", shows="gradients", back="guided_backprop")
    _ = explorer.result, explorer.returned
    assert network.module.training and all(each.grad is None for each in network.module.parameters())
    assert all(torch.equal(each, state[name]) for name, each in network.module.state_dict().items())
    assert torch.equal(chance, torch.get_rng_state()) and not any(
        part._forward_hooks for part in network.module.modules()
    )


def test_it_is_saved_as_a_page_and_a_picture(make, tmp_path):
    explorer = make(layer="2", channel=1)
    explorer.save(tmp_path / "layers.html")
    text = (tmp_path / "layers.html").read_text(encoding="utf-8")
    assert "<h1>2:1</h1>" in text and "Conv2d, 6 × 14 × 22" in text and "activations(network, image" in text
    explorer.save(tmp_path / "layers.png")
    with Image.open(tmp_path / "layers.png") as saved:
        assert saved.height > 200
