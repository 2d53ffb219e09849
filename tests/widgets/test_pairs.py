"""Pairs of pictures on the panels: shown side by side, and changed one at a time."""

import io

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView, demo
from nbvis.engine import Network, activations, attribute, channel, energy, halves, side_by_side, unit
from nbvis.widgets.explorer_painting import channel_picture, layer_atlas
from nbvis.widgets.optimised import dream_steps
from nbvis.widgets.tile_look import TileLook
from tests.pictures import opened

LONG = 60.0


class Siamese(nn.Module):
    """Two inputs, shared weights, and layers that see both."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.drop = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Dropout()
        self.deep, self.fc = nn.Conv2d(4, 5, 3, stride=2), nn.Linear(5, 3)
        self.merge = nn.Conv2d(5, 2, 3)

    def branch(self, images: Tensor) -> Tensor:
        return self.deep(self.drop(self.relu(self.conv(images))))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        one, other = self.branch(first), self.branch(second)
        apart = self.fc(one.mean((2, 3))) - self.fc(other.mean((2, 3)))
        return self.merge(one - other).mean((2, 3)) + apart.sum(1, keepdim=True)


@pytest.fixture
def pictures():
    return torch.rand(2, 1, 3, 12, 16, generator=torch.Generator().manual_seed(0)).unbind(0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(Siamese(), labels=["same", "other"], pair="inputs", device="cpu")


@pytest.fixture
def make(network, pictures):
    made = []

    def make(image=pictures, kind=LayerExplorer, net=network, **options):
        made.append(kind(net, image, **options))
        assert made[-1].wait(LONG)
        return made[-1]

    yield make
    for widget in made:
        widget.close()


def by_hand(network, pictures, layer):
    with torch.no_grad():
        names = [f"{layer}:0", f"{layer}:1"]
        found = activations(network, side_by_side(*pictures), names)
        return torch.cat([found[name][0] for name in names], -1)


class JoinedAlongTheBatch(nn.Module):
    """Both pictures go through the shared weights at once, as two rows of a batch."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(8, 2)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        found = self.conv(torch.cat([first, second])).mean((2, 3))
        return self.head(found.view(2, -1, 4).transpose(0, 1).flatten(1))


def test_a_layer_that_gives_more_rows_than_inputs_says_that_one_is_shown(make, pictures):
    explorer = make(layer="conv", net=Network(JoinedAlongTheBatch(), pair="inputs", device="cpu"))
    assert explorer.notes == "conv gives 2 rows for one input: what is shown of it is the first."
    explorer.layer = "head"
    assert explorer.wait(LONG) and explorer.notes == ""


def remade(explorer, network, image):
    scope = {"network": network, "image": image}
    exec(explorer.recipe(), scope)
    return scope


def test_both_calls_of_a_shared_layer_stand_side_by_side(make, network, pictures):
    explorer = make(layer="deep", channel=2)
    assert torch.equal(explorer.image, side_by_side(*pictures))
    assert torch.equal(explorer.result, by_hand(network, pictures, "deep"))
    assert explorer.subject == "Siamese · 12 × 32" and {each["label"] for each in explorer.top} == {"same", "other"}
    rows = {row["name"]: row for row in explorer.layers}
    assert (rows["deep"]["shape"], rows["deep"]["pictures"], rows["deep"]["field"]) == ([5, 5, 14], 2, [5, 5])
    assert (rows["deep:0"]["shape"], rows["deep:0"]["pictures"]) == ([5, 5, 7], 1)
    assert (rows["fc"]["shape"], rows["merge"]["shape"]) == ([3, 1, 2], [2, 3, 5])
    assert "5 × 5 × 7 of each picture, side by side" in explorer.status
    header, buffers = explorer._scene().frame()
    panes = {pane["key"]: pane for pane in header["panes"]}
    assert "5 channels of 5 × 14, both pictures side by side" == panes["layer"]["sub"]
    sent = {key: opened(buffers[pane["picture"]]).convert("RGBA") for key, pane in panes.items()}
    look = TileLook("RdBu_r", "layer", 0, 1)
    assert sent["layer"].tobytes() == layer_atlas(explorer.result, look).image.convert("RGBA").tobytes()
    assert sent["channel"].tobytes() == channel_picture(explorer.result, 2, look).image.convert("RGBA").tobytes()
    assert (sent["input"].size, sent["back"].size) == ((32, 12), (32, 12))


@pytest.mark.parametrize("back", ["gradient", "deconvnet", "guided_backprop"])
def test_a_channel_of_both_pictures_is_sent_back_to_both(make, network, pictures, back):
    explorer = make(layer="deep", channel=2, back=back)
    objective = energy("deep:0", 2) + energy("deep:1", 2)
    expected = attribute(network, side_by_side(*pictures), objective, method=back).map
    assert torch.equal(explorer.returned.map, expected) and all(half.any() for half in halves(expected))
    scope = remade(explorer, network, pictures)
    assert torch.equal(scope["attribution"].map, expected) and torch.equal(scope["maps"], explorer.result)


def test_a_place_belongs_to_one_of_the_two_calls(make, network, pictures):
    explorer = make(layer="deep", channel=2, seed="place", place=[1, 9])
    images = side_by_side(*pictures)
    assert torch.equal(explorer.returned.map, attribute(network, images, unit("deep:1", 2, 1, 2)).map)
    assert explorer._scene().frame()[0]["fields"] == [[1, 16 + 3, 6, 16 + 8]]
    assert remade(explorer, network, pictures)["attribution"].map.equal(explorer.returned.map)
    explorer.place = [1, 2]
    assert torch.equal(explorer.returned.map, attribute(network, images, unit("deep:0", 2, 1, 2)).map)
    assert explorer._scene().frame()[0]["fields"] == [[1, 3, 6, 8]]
    explorer.layer = "fc"
    assert explorer.result.shape == (3, 1, 2)
    explorer.place = [0, 1]
    scope = remade(explorer, network, pictures)
    assert torch.equal(scope["attribution"].map, explorer.returned.map)
    assert torch.equal(scope["maps"], explorer.result[:, 0])


def test_gradients_come_back_to_both_calls_of_a_layer(make, network, pictures):
    explorer = make(layer="deep", channel=2, frozen=True)
    explorer.layer, explorer.shows = "conv", "gradients"
    explorer.wait(LONG)
    shown = explorer._scene()._shown
    objective = energy("deep:0", 2) + energy("deep:1", 2)
    images = side_by_side(*pictures)
    expected = [attribute(network, images, objective, layer=f"conv:{k}").map[0] for k in range(2)]
    assert isinstance(shown, Tensor) and torch.equal(shown, torch.cat(expected, -1)) and explorer.error == ""


def test_a_layer_that_sees_both_pictures_lies_over_both(make):
    explorer = make(layer="merge", channel=0, place=[1, 2], overlay="inactive")
    header, buffers = explorer._scene().frame()
    assert header["fields"] == [[1, 3, 10, 12], [1, 19, 10, 28]] and header["lanes"] == [[0, 0.5], [0.5, 1]]
    (pane,) = [pane for pane in header["panes"] if pane["key"] == "channel"]
    over = torch.tensor([*opened(buffers[pane["picture"]]).convert("RGB").tobytes()]).view(12, 32, 3)
    image = (255 * explorer.image[0]).round().permute(1, 2, 0)
    strong = F.interpolate((explorer.result[:1] / explorer.result[:1].abs().max()).abs()[None], (12, 16))[0, 0] >= 0.2
    for half in (slice(0, 16), slice(16, 32)):  # each shows the map where it is strong, and its own picture elsewhere
        assert (over[:, half][strong] != image[:, half][strong]).any(1).all()
    assert explorer._value("channel", 5, 3) == explorer._value("channel", 5, 19) != "the other picture"
    explorer.layer = "deep:1"
    explorer.wait(LONG)
    assert explorer._value("channel", 5, 3) == "the other picture"
    assert explorer._value("channel", 5, 19).startswith("channel 0 · row 2, column 1")


@pytest.mark.parametrize(("pair", "first"), [("channels", nn.Conv2d(6, 4, 3)), ("width", nn.Conv2d(3, 4, 3))])
def test_a_packed_pair_is_looked_at_too(make, pictures, pair, first):
    module = nn.Sequential(first, nn.ReLU(), nn.Conv2d(4, 4, 3))
    explorer = make(net=Network(module, pair=pair, device="cpu"), layer="2", channel=1, place=[0, 0])
    images = side_by_side(*pictures)
    packed = torch.cat(pictures, 1) if pair == "channels" else images
    assert torch.equal(explorer.result, module(packed)[0].detach())
    fields = explorer._scene().frame()[0]["fields"]
    assert fields == ([[0, 0, 5, 5], [0, 16, 5, 21]] if pair == "channels" else [[0, 0, 5, 5]])


def test_other_panels_take_pairs_or_say_why_not(make, network, pictures):
    view = make(kind=SaliencyView, compare=["grad_cam"])
    assert torch.equal(view.result.map, attribute(network, side_by_side(*pictures)).map)
    assert "of a pair that layer sees one picture at a time" in view.notes
    for refused in (lambda: setattr(view, "place", "deep"), lambda: view.explain(3, 4)):
        with pytest.raises(Exception, match="is one in a single picture of a pair"):
            refused()
    inverter = make(kind=DropoutInverter, layer="deep", steps=2)
    inverter.play()
    assert inverter.wait(LONG) and inverter.result.shape == (1, 3, 12, 32)
    with pytest.raises(ValueError, match="compares pairs of pictures, and a dream is made of a single one"):
        DreamCanvas(network)


def test_statistics_of_pairs_show_them_whole(network, pictures):
    images = torch.cat([side_by_side(*pictures), side_by_side(*pictures[::-1])])
    stats = ActivationStats(network, [images], layer="deep:1", channel=0)
    stats.play()
    assert stats.wait(LONG) and not stats.error
    chosen = stats._scene().frame()[0]["chosen"]
    assert [each["box"] for each in chosen["patches"]] == [[0, 0, 1, 1]] * 2
    assert "Pairs are shown whole" in chosen["patch_note"]
    stats.close()


@pytest.mark.parametrize(
    ("given", "net", "message"),
    [
        (None, nn.Conv2d(3, 4, 3), r"takes one image, and two are for .*Network\(module, pair='inputs'\)"),
        (torch.rand(1, 3, 8, 9), None, r"a pair lies side by side, .* and these are \(1, 3, 8, 9\)"),
        ((torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9)), None, r"the two pictures of a pair have one shape"),
    ],
)
def test_what_is_no_pair_or_wants_none_is_refused(network, pictures, given, net, message):
    with pytest.raises(ValueError, match=message):
        LayerExplorer(net or network, given or pictures if given is None else given)


def test_a_pair_is_worked_on_at_another_size_without_a_seam(make, network):
    black, white = torch.zeros(1, 3, 60, 75), torch.ones(1, 3, 60, 75)
    explorer = make((black, white), working_size=50)
    first, second = halves(explorer._subject.image)
    assert first.shape == (1, 3, 20, 25) and first.max() < 1e-6 and second.min() > 1 - 1e-6
    assert torch.equal(remade(explorer, network, (black, white))["maps"], explorer.result)


def encoded(color, size=(16, 12)):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(("replaces", "changed"), [("first", 0), ("second", 1)])
def test_a_picture_takes_the_place_of_one_of_the_two(make, ask, network, pictures, replaces, changed):
    explorer = make(replaces=replaces)
    assert explorer._pairs
    assert ask(explorer, "opened", encoded("red", (8, 9)), name="red.png") == ""
    now = halves(explorer.image)
    assert torch.equal(now[1 - changed], pictures[1 - changed]) and explorer.picture == "red.png"
    assert now[changed][:, 0].min() == 1 and not now[changed][:, 1:].any()
    assert "Scaled from 9 × 8 to 12 × 16 pixels, the size of the picture beside it." in explorer.notes
    recipe = explorer.recipe()
    assert f"'red.png', which was opened in the panel having taken the place of the {replaces} picture" in recipe
    assert torch.equal(remade(explorer, network, explorer.image)["maps"], explorer.result)
    assert ask(explorer, "photograph", name="chelsea") == ""
    assert explorer.image.shape == (1, 3, 12, 32) and torch.equal(halves(explorer.image)[1 - changed], now[1 - changed])
    expected = F.interpolate(demo.photo("chelsea"), (12, 16), mode="bilinear", antialias=True)
    assert torch.allclose(halves(explorer.image)[changed], expected, atol=1e-5)
    with pytest.raises(Exception, match="no replaces 'both'"):
        explorer.replaces = "both"


@pytest.fixture
def folder(tmp_path):
    for name, color in (("a.png", "red"), ("b.png", "blue"), ("d.png", "white")):
        (tmp_path / name).write_bytes(encoded(color, (16, 12) if name != "d.png" else (8, 6)))
    (tmp_path / "c.png").write_bytes(b"none")
    lines = ["a.png b.png other", "a.png c.png x", "gone.png a.png y", "b.png d.png same kind"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    return tmp_path


def test_a_list_of_pairs_is_walked_through(make, ask, network, folder):
    explorer = make(pictures=folder / "pairs.txt")
    assert explorer._pictures == [
        ["a.png + b.png", "other"], ["a.png + c.png", "x"], ["gone.png + a.png", "y"], ["b.png + d.png", "same kind"],
    ]  # fmt: skip
    assert ask(explorer, "list", place=0, turn=1) == "" and explorer.picture == "a.png + b.png"
    assert [tuple(half[0, :, 0, 0]) for half in halves(explorer.image)] == [(1, 0, 0), (0, 0, 1)]
    assert torch.equal(remade(explorer, network, None)["maps"], explorer.result)
    assert ask(explorer, "list", place=1, turn=1) == "" and explorer._position == 3
    assert "c.png' is no picture" in explorer.notes and "no file " in explorer.notes and "gone.png" in explorer.notes
    assert "Scaled from 6 × 8 to 12 × 16 pixels, the size of the picture beside it." in explorer.notes
    assert torch.equal(remade(explorer, network, None)["maps"], explorer.result)
    explorer.pictures = folder  # single ones
    assert ask(explorer, "list", place=3, turn=0) == "" and explorer.picture == "d.png"
    assert [tuple(half[0, :, 0, 0]) for half in halves(explorer.image)] == [(1, 1, 1), (1, 1, 1)]
    explorer.pictures = [(folder / "a.png", folder / "d.png")]
    assert explorer._pictures == [["a.png + d.png", ""]]
    with pytest.raises(ValueError, match=r"line 1 of .* has one path, and a pair takes two: 'a.png'"):
        (folder / "single.txt").write_text("a.png")
        explorer.pictures = folder / "single.txt"


def test_the_optimised_image_of_a_pair_is_small_and_of_both(network):
    (image, *_) = (step.image for step in dream_steps(network, channel("conv", 0), (1, 3, 301, 210)))
    assert image.shape == (1, 3, 128, 90)
