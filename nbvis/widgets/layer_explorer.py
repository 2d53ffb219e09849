"""LayerExplorer: the layers of a network as they answer to a picture, and what comes back from each channel.

Messages from a view are those of `base` and `questions`; all else are traits. A frame with pictures has the `grid` of
the channels in the picture of the layer, the unit's `place` in its channel and the `fields` that it sees, one in each
picture of a pair, and the `lanes`, from where to where across the picture its maps lie.
"""

import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import traitlets as t
from torch import Tensor, nn

from nbvis.engine import Attribution, Images, Network, Statistics, as_network
from nbvis.sessions import Find, Refusal, Task

from . import exploring
from .channels import dead
from .data_set import DataSet
from .explored import Explored
from .explorer_controls import PAGE, ExplorerControls
from .explorer_scene import Chosen, ExplorerScene
from .exploring import OFF, Back, Maps
from .given import Given, taken
from .numbers import InvalidValueError
from .optimised import Dream, Growing, dream_source
from .painting import Look
from .panes import value_of_image, value_of_map
from .passport import COLLECT
from .passports import PassportWidget
from .recipe import exploration_recipe
from .statistics_controls import given_statistics
from .tile_look import RED_GREEN, TILE_COLORMAPS, TileLook
from .views import view_records

MAIN = "maps", "back", "gradients"
"""What is found out beside the passport, and before it."""
AHEAD = 128 * 2**20
"""Bytes of activations that are found before somebody asks for them, of the layers nearest to the one looked at."""
QUICK = 0.25
"""Seconds of a pass up to which it is made before somebody asks: who asks meanwhile waits until it is over."""


class LayerExplorer(ExplorerControls, PassportWidget, front_end="layer_explorer"):
    """Every channel of every layer as it answers to a picture, what it sees of it, and what comes back from it.

    Whatever is set is computed in the background, and an answer found once is kept.

    Args:
        network: a `Network` or a bare module.
        images: the picture, (1, channels, height, width) or (channels, height, width), usually in [0, 1], or what else
            `as_images` takes; for a network that compares pairs, `Network(module, pair="inputs")`, two of those. Both
            calls of a layer that the two pictures share are then shown side by side, and sent back from together.
        statistics: of this network, as `collect` gives them; then the layers say how many of their channels are dead,
            and the passport of a channel has its histogram and its correlates.
        batches: those that the statistics are of, image batches or a data set as for an `ActivationStats`; then the
            passport has the real patches that drive the channel most.
        options: any of the traits.

    Raises:
        TypeError: for an unknown option, with the near matches.
        ValueError: for an image, layer, channel or number that cannot be, or statistics of another network; the message
            says what can.
        RuntimeError: if the network does not run on the image; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 22, 5))
        >>> explorer = LayerExplorer(net, torch.rand(1, 3, 16, 24), layer="1", channel=2)
        >>> explorer.result.shape, explorer.returned.map.shape
        (torch.Size([4, 14, 22]), torch.Size([1, 3, 16, 24]))
        >>> explorer.close()

        >>> class Apart(nn.Sequential):
        ...     def forward(self, first, second):
        ...         return super().forward(first) - super().forward(second)
        >>> siamese = Network(Apart(nn.Conv2d(3, 4, 3)), pair="inputs")
        >>> explorer = LayerExplorer(siamese, (torch.zeros(3, 16, 24), torch.ones(3, 16, 24)))
        >>> explorer.result.shape
        torch.Size([4, 14, 44])
        >>> explorer.close()
    """

    _bounded, _shows_first = False, True
    _looks_at = "Looking at the network's layers…"
    _settings = "shows", "back", "seed", "frozen", "view", "overlay", "colormap", "scale"

    def __init__(
        self,
        network: Network | nn.Module,
        images: Images,
        statistics: Statistics | None = None,
        batches: Any = None,
        **options: Any,
    ):
        known = as_network(network)
        self._statistics, self._growing = given_statistics(statistics, "statistics"), Growing()
        self._data = None if batches is None else DataSet(batches)
        if statistics is not None:
            statistics.check(known)
        elif batches is not None:
            raise ValueError(f"the batches show what drives a channel only with statistics of them: {COLLECT}")
        given = taken(images, "LayerExplorer", options, bounded=False, pair=known.pair)
        still = {name: int(dead(each).sum()) for name, each in (statistics or {}).items()}
        self._free = "channel" not in options
        self._start: tuple[str, int, tuple[int, int] | None] | None = None
        self._stride = 1
        super().__init__(
            Explored(known, given, still),
            backs=exploring.records(),
            views=view_records(),
            colormaps=TILE_COLORMAPS,
            **options,
        )

    def __repr__(self) -> str:
        """Of what, and which channel; the same on every machine."""
        return f"LayerExplorer({self.subject}, {self.layer}:{self.channel})"

    @property
    def result(self) -> Tensor:
        """The layer's activations, (channels, rows, columns); waits for them if they are being computed.

        Raises:
            RuntimeError: if there are none; the message says why.
        """
        self._wait_for_answers(kinds=MAIN)
        found = self._answer(self._maps_asked())
        assert isinstance(found, Tensor)
        return found

    @property
    def returned(self) -> Attribution | None:
        """What comes back at the image, None if nothing is sent; waits for it if it is being computed.

        Raises:
            RuntimeError: if there can be none; the message says why.
        """
        self._wait_for_answers(kinds=MAIN)
        asked = self._back_asked()
        return None if asked is None else self._answer(asked[0])

    def reset(self) -> None:
        """Goes back to the beginning, as the toolbox does: the first layer and channel, and nothing is sent back.

        Every slider and choice is what this widget began with.
        """
        first = [row["name"] for row in self._subject.layers[:1]]
        super().reset()
        with self.hold_trait_notifications():
            self.layer, self.channel, self.place, self.back = *(first or [self.layer]), 0, [], OFF

    def recipe(self) -> str:
        """Python source that computes what is shown, from the network and the image.

        Raises:
            RuntimeError: if what is shown is not known yet.
        """
        asked, objective, rule = self._back_asked(), None, ""
        if asked:
            rule, calls = asked[0].rule, self._subject.shown(asked[0].layer)
            place = asked[0].place or self._scene().place
            if asked[0].seed == "place" and calls.grid and place is None:
                raise RuntimeError("the place that a signal is sent back from is still being computed: ask again then")
            objective = asked[0].objective(place, calls)
        given, dream = self._subject.given, self._session.get(self._bearer().key("dream"))
        dreamt = dream_source(self._bearer(), dream) if self.passport and isinstance(dream, Dream) else ""
        shown = self._subject.shown(self.layer)
        return exploration_recipe(given.source, shown, self.channel, objective, rule, given.whence, dreamt)

    def _answer(self, asked: Hashable) -> Any:
        found = self._session.get(asked)
        if found is None or isinstance(found, Refusal):
            why = found.reason if found else self.error or "it was stopped or closed, and play() computes it"
            raise RuntimeError(f"there is nothing to give: {why}")
        return found

    def _another(self, given: Given | None) -> Explored:
        return Explored(self._subject.network, given, self._subject.dead, self._subject.number + 1)

    def _take_over(self, first: bool) -> None:
        super()._take_over(first)
        subject = self._subject
        with self.hold_trait_notifications():
            self.layers, self.labels = subject.layers, subject.labels
            free = not self.layer and self._free
            layer = subject.layer(self.layer) if self.layer else subject.first_layer
            try:
                subject.channel(layer, self.channel)
            except InvalidValueError:
                self.channel = 0
                raise
            self.layer = layer
            if free:
                self.channel = subject.first_channel
            if self.frozen and self._start is None:
                self._start = (layer, self.channel, None)
            if not first:
                self.place = []
                self._start = self._start and (self._start[0], self._start[1], None)
        self._settle_page()

    @t.observe("layer")
    def _on_layer(self, change: Any) -> None:
        shape = self._shape()
        if shape is None:
            return
        with self.hold_trait_notifications():
            self.channel = min(self.channel, shape[0] - 1)
            self.place = []
        self._settle_page()

    @t.observe("channel")
    def _on_channel(self, change: Any) -> None:
        if hasattr(self, "_session"):
            self._stride = change.new - change.old
        self._settle_page()

    def _settle_page(self) -> None:
        pages = self._pages()
        if pages is not None:
            self.set_trait("pages", pages)
            self.page = self.channel // PAGE

    @t.observe("frozen")
    def _on_frozen(self, change: Any) -> None:
        with self._unhurried():
            held = self.frozen and self.layer
            # The strongest place is that of now, since other layers have others.
            place = self._scene().place if hasattr(self, "_session") else None
            self._start = (self.layer, self.channel, place) if held else None

    @t.observe("layer", "channel", "place", "shows", "back", "seed", "frozen")
    def _on_question(self, change: Any) -> None:
        if hasattr(self, "_session"):
            self._ask()

    @t.observe("page", "view", "overlay", "colormap", "scale", "boost", "gamma")
    def _on_look(self, change: Any) -> None:
        self._show_anew()

    def _preparation(self) -> Callable[[], None]:
        return self._subject.predict

    def _tasks(self, wishes: set[str]) -> dict[str, list[Task]]:
        subject = self._subject
        self.top = subject.likeliest()
        network, image, asked, shown = subject.network, subject.image, self._back_asked(), subject.shown(self.layer)
        tasks = {"maps": [exploring.maps_task(network, image, self._maps_asked(), shown)], "back": [], "gradients": []}
        if asked:
            origin = subject.shown(asked[0].layer)
            tasks["back"] = [exploring.back_task(network, image, asked[0], origin)]
            if self.shows == "gradients":
                tasks["gradients"] = [exploring.back_task(network, image, asked[1], origin, shown)]
        return tasks | self._passport_tasks(wishes)

    def _foreseen(self) -> list[Find]:
        subject, known, about = self._subject, self._session.get, self._subject.about
        if subject.changed or subject.seconds > QUICK:
            return []
        finds: list[Find] = []
        network, image, near = subject.network, subject.image, subject.nearby(self.layer, AHEAD)
        if wanted := {name: subject.shown(name) for name in near if known(Maps(about, name)) is None}:
            finds.append(functools.partial(exploring.nearby_maps, network, image, about, wanted))
        asked, maps = self._back_asked(), known(self._maps_asked())
        if asked and not self._start and isinstance(maps, Tensor):
            following = asked[0]._replace(channel=self.channel + self._stride)
            if 0 <= following.channel < len(maps) and known(following) is None:
                origin = subject.shown(self.layer)
                finds.append(functools.partial(exploring.back_found, network, image, following, origin, maps))
        return [functools.partial(_sure, subject, about, find) for find in finds]

    def _asked(self) -> list[Hashable]:
        if not self._subject.looked:
            return []
        asked = self._back_asked()
        backs = [] if asked is None else list(asked[: 2 if self.shows == "gradients" else 1])
        return [self._maps_asked(), *backs]

    def _maps_asked(self) -> Maps:
        return Maps(self._subject.about, self.layer)

    def _back_asked(self) -> tuple[Back, Back] | None:
        """What is asked about the way back to the image, and to the layer; None if nothing is sent."""
        if self.back == OFF:
            return None
        layer, channel, place = self._start or (self.layer, self.channel, self._place_chosen())
        place = place if self.seed == "place" else None
        back = Back(self._subject.about, self.back, layer, channel, self.seed, place, None)
        return back, back._replace(at=self.layer)

    def _scene(self) -> ExplorerScene:
        subject, found = self._subject, self._session.get
        asked = self._back_asked() if subject.looked else None
        stopped = self._session.state in ("stopped", "error")
        return ExplorerScene(
            painter=self._painter,
            about=subject.about,
            image=subject.image,
            chosen=self._chosen(),
            maps=found(self._maps_asked()),
            asked=asked,
            found=(found(asked[0]), found(asked[1])) if asked else (None, None),
            sees=functools.partial(subject.boxes, self.layer),
            lanes=subject.lanes(self.layer),
            input_line="".join(f"{each['label']} {each['probability']:.2f}" for each in subject.likeliest(1)),
            waiting="Not computed yet: it was cancelled or failed." if stopped else "",
            outdated=self._outdated(),
            passport=self._passport_scene(),
        )

    def _chosen(self) -> Chosen | None:
        row = self._subject.row(self.layer)
        back = Look(self.view, self.overlay, 0.0, "auto" if self.colormap == RED_GREEN else self.colormap)
        look = TileLook(self.colormap, self.scale, self.boost, self.gamma)
        pages = self.page * PAGE, (self.page + 1) * PAGE
        return Chosen(row, self.channel, self._place_chosen(), self.shows, pages, look, back) if row else None

    def _place_chosen(self) -> tuple[int, int] | None:
        return (self.place[0], self.place[1]) if self.place else None

    def _value(self, pane: str, row: int, column: int) -> str:
        if pane == "input":
            return value_of_image(self._subject.image, row, column)
        scene = self._scene()
        if pane in ("layer", "channel"):
            return scene.value(pane, row, column)
        found = scene.found[0]
        if not isinstance(found, Attribution):
            return "nothing has come back"
        (shown,) = [each for each in scene.panes() if each.key == "back"]
        return value_of_map(found.map[0].detach().float().cpu(), self.view, shown.size, row, column)


def _sure(subject: Explored, about: Hashable, find: Find) -> Mapping[Any, Any]:
    """Answers about the network in the state that `about` stands for; none if it is in another by now."""
    found = find()
    return found if subject.is_still(about) else {}
