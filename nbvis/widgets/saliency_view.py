"""SaliencyView: what in a picture drove a network's answer, by every classic method, with the checks beside it.

Messages from a view, beside those of `base` and `questions`:

| type | with | asks for |
|---|---|---|
| measure, check | | the faithfulness of the maps shown; the sanity check of the first |
| click | row, column | what `click` says, at this pixel of the image |
| uncover | | the image as it was |

A frame with pictures has the indexes of those of the sanity check, its `film`, beside the panes.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import traitlets as t
from torch import Tensor, nn

from nbvis import engine
from nbvis.engine import (
    METHODS,
    Attribution,
    Faithfulness,
    Images,
    Network,
    Objective,
    Place,
    RandomizationCheck,
    as_network,
)
from nbvis.sessions import Finding, Refusal, Task, described

from . import explaining
from .explaining import Asked
from .given import taken
from .numbers import InvalidValueError
from .painting import COLORMAPS, Look
from .panes import value_of_image, value_of_map, widest
from .predicted import Predicted
from .questions import QuestionWidget
from .recipe import attribution_recipe
from .saliency_controls import SaliencyControls
from .saliency_scene import SaliencyScene, Shown
from .views import Limits, view_records


class SaliencyView(SaliencyControls, QuestionWidget, front_end="saliency_view"):
    """Attributions of a picture: maps side by side, how far they can be trusted, and what changes as parts are covered.

    Whatever is set is computed in the background, and an answer found once is kept.

    Args:
        network: a `Network` or a bare module.
        image: (1, channels, height, width) or (channels, height, width), usually in [0, 1], or what else `as_images`
            takes.
        target: a class, by index or label; None for the predicted one; or any `Objective`.
        own: methods of your own, by what they are called on the panel: functions (module, inputs, target) → a map
            shaped like the inputs; see `attribute`.
        options: any of the traits.

    Raises:
        TypeError: for an unknown option, with the near matches, or a target that is nothing of the above.
        ValueError: for an image, class, layer, method or number that cannot be; the message says what can.
        RuntimeError: if the network does not run on the image; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 22, 5))
        >>> view = SaliencyView(net, torch.rand(3, 16, 24), target=2, compare=["grad_cam"])
        >>> view.result.map.shape, sorted(view.results)
        (torch.Size([1, 3, 16, 24]), ['grad_cam', 'gradient'])
        >>> view.close()
    """

    _bounded = False
    _looks_at = "Looking at the network and the picture…"
    _settings = "method", "compare", "view", "overlay", "colormap", "locked", "click"

    def __init__(
        self,
        network: Network | nn.Module,
        image: Images,
        target: Any = None,
        own: Mapping[str, Callable[..., Tensor]] | None = None,
        **options: Any,
    ):
        self._own = dict(own or {})
        self._methods = {**METHODS, **explaining.own_methods(self._own)}
        network = as_network(network)
        given = taken(image, "SaliencyView", options, bounded=False, pair=network.pair)
        self._clicked: tuple[Objective, int, int] | None = None
        self._before: dict[str, Attribution] = {}
        self._size_before = 0, 0
        self._limits: dict[str, Limits] = {}
        self._fitting: Any = target  # the last target that is known to fit
        super().__init__(
            Predicted(network, given),
            target=target,
            methods=explaining.records(self._methods.values()),
            views=view_records(),
            colormaps=COLORMAPS,
            **options,
        )

    def __repr__(self) -> str:
        """What it explains, and how; the same on every machine."""
        names = ", ".join(asked.label for asked in self._asked())
        return f"SaliencyView({self.subject}, {self.expression}: {names})"

    def measure(self) -> None:
        """Computes the faithfulness of the maps shown; see `bars` and `faithfulness`."""
        self._ask("faithfulness")

    def check(self) -> None:
        """Runs the sanity check of the first map; see `sanity` and `randomization`."""
        self._ask("sanity")

    def occlude(self, row: int, column: int) -> None:
        """Covers a square of side `window` around a pixel, or takes away the one that covers it."""
        self._pixel((row, column))
        height, width = self._subject.size
        for corner in reversed(self.covered):
            if 0 <= row - corner[0] < self.window and 0 <= column - corner[1] < self.window:
                self.covered = [each for each in self.covered if each is not corner]
                return
        top, left = row - self.window // 2, column - self.window // 2
        corner = [max(0, min(top, height - self.window)), max(0, min(left, width - self.window))]
        self.covered = [*self.covered, corner]

    def explain(self, row: int, column: int) -> None:
        """Explains the unit of `layer` at the place in its grid that a pixel has: `channel`, or the strongest there."""
        self._pixel((row, column))
        if not self.layer:
            raise InvalidValueError("no layer of this network has rows and columns, so there is no unit at a place")
        self._refuse_pairs(f"a place in {self.layer!r}")
        _, rows, columns = next(each["shape"] for each in self.layers if each["name"] == self.layer)
        place = row * rows // self._subject.size[0], column * columns // self._subject.size[1]
        if self.channel is not None:
            self._explain_unit((self.layer, self.channel, *place), (row, column))
            return
        work = functools.partial(explaining.strongest, self._subject, self.layer, place, (row, column))
        look = self._find_out(work, self._on_strongest)
        if look.error:
            raise look.error

    def _on_strongest(self, found: tuple[tuple[str, int, int, int], tuple[int, int]]) -> None:
        with self._traits_lock:
            self._explain_unit(*found)

    def _explain_unit(self, unit: tuple[str, int, int, int], clicked: tuple[int, int]) -> None:
        fitting = explaining.unit_at(*unit)
        self._clicked = (fitting, *clicked)
        self._fitting = fitting
        self.target = fitting

    def _take_unit(self, layer: str, channel: int | None) -> None:
        """Explains the channel, or the whole layer."""
        super()._take_unit(layer, channel)
        self._clicked = None
        self.target = engine.activity(layer) if channel is None else engine.channel(layer, channel)

    @property
    def result(self) -> Attribution:
        """The attribution by `method`; waits for it if it is being computed.

        Raises:
            RuntimeError: if there is none; the message says why.
        """
        self._wait_for_answers()
        if not (shown := self._asked()):
            raise RuntimeError(f"there is no map: {self.error or 'this view is closed'}")
        asked, found = shown[0], self._session.get(shown[0])
        if isinstance(found, Attribution):
            return found
        stopped = "it was stopped, and play() computes it"
        why = found.reason if isinstance(found, Refusal) else self._session.error or stopped
        raise RuntimeError(f"there is no map by {asked.name}: {why}")

    @property
    def results(self) -> dict[str, Attribution]:
        """The attributions shown, by method; waits for them. One that there can be none of is left out; see `notes`."""
        self._wait_for_answers()
        found = {asked.name: self._session.get(asked) for asked in self._asked()}
        return {name: each for name, each in found.items() if isinstance(each, Attribution)}

    @property
    def faithfulness(self) -> dict[str, Faithfulness]:
        """The curves of the maps shown, by method, as far as they were measured."""
        found = {asked.name: self._session.get(("faithfulness", asked)) for asked in self._asked()}
        return {name: each for name, each in found.items() if isinstance(each, Faithfulness)}

    @property
    def randomization(self) -> RandomizationCheck | None:
        """The sanity check of the first map, None before `check`."""
        found = self._session.get(("sanity", asked[0])) if (asked := self._asked()) else None
        return found if isinstance(found, RandomizationCheck) else None

    def recipe(self) -> str:
        """Python source that makes the maps shown, from the network, the image and an objective of your own."""
        shown = self._asked()
        found = {asked.name: self._session.get(asked) for asked in shown}
        refused = {method: each.reason for method, each in found.items() if isinstance(each, Refusal)}
        calls = {asked.name: asked.arguments() for asked in shown if asked.name not in refused}
        given, target = self._subject.given, shown[0].target
        side, label = int(self.window), self.expression
        return attribution_recipe(
            given.source, self.covered, side, target, label, calls, refused, self._own, given.whence
        )

    @t.observe("method")
    def _on_method(self, change: Any) -> None:
        self.compare = [name for name in self.compare if name != self.method]

    def _see(self) -> Finding:
        return self._look_at(self._subject, self.target)

    def _take_over(self, first: bool) -> None:
        super()._take_over(first)
        subject = self._subject
        try:
            if first:
                ((given, self._fitting),) = subject.targets
                if self.target is not given:
                    self._fitting = subject.target(self.target)
        finally:
            with self.hold_trait_notifications():
                self.layers, self.labels = subject.layers, subject.labels
                if first:
                    self.target = self._fitting
                    self.layer = self.layer or subject.cam_layer
                else:
                    self.covered = []
                    if self._size_before != subject.size:
                        self._before = {}
                self._size_before = subject.size
        self._with_space("layer", self.layer)
        if self.place:
            self._with_space("place", self.place)

    def _on_failure(self, look: Finding) -> None:
        if self._subject.looked:
            with self._traits_lock:
                self.target = self._fitting
        super()._on_failure(look)

    @t.validate("target")
    def _validate_target(self, proposal: Any) -> Any:
        target = proposal["value"]
        if target is self._fitting or not self._subject.looked:
            return target
        if isinstance(target, Objective):
            # A view has no objective to give, so Python waits for the answer.
            look = self._find_out(functools.partial(self._subject.target, target), self._on_fitting, patient=True)
            error = look.error
        else:
            try:
                target, error = self._subject.target(target), None
                self._fitting = target
            except (ValueError, TypeError, RuntimeError) as refused:
                error = refused
        if error is not None:
            raise InvalidValueError(described(error)) from error
        return target

    def _on_fitting(self, target: Objective) -> None:
        self._fitting = target

    @t.observe("layer", "channel")
    def _on_unit(self, change: Any) -> None:
        count = self._subject.channels(self.layer)
        if count is None:
            return
        if self.channel is not None and self.channel >= count:
            self.channel = None
        if self._clicked and self._clicked[0] is self.target:
            self.explain(*self._clicked[1:])

    @t.observe("method", "compare", "target", "layer", "place", "covered", *explaining.OPTIONS)
    def _on_question(self, change: Any) -> None:
        self._name_target()
        self._ask()

    def _name_target(self) -> None:
        if self._subject.looked:
            explained = self._subject.explained(self.target)
            self.expression = self.labels[explained] if isinstance(explained, int) else str(explained)

    @t.observe("view", "overlay", "opacity", "colormap", "locked")
    def _on_look(self, change: Any) -> None:
        if change["name"] == "locked":
            self._limits = {}
        self._show_anew()

    def _preparation(self) -> Callable[[], None]:
        return functools.partial(self._subject.predict, self.covered, int(self.window))

    def _tasks(self, wishes: set[str]) -> dict[str, list[Task]]:
        self.top = self._subject.likeliest()
        self._name_target()
        network, image, shown = self._subject.network, self._subject.shown, self._asked()
        about = self._subject.about[:2]
        wanted = {
            "maps": [explaining.map_task(network, image, asked) for asked in shown],
            "preprocessing": [explaining.preprocessing_task(network, self._subject.image, about)],
        }
        for kind in ("faithfulness", "sanity"):
            wanted[kind] = [task for task in self._session.wanted(kind) if task.key[1] in shown]
        if "faithfulness" in wishes:
            wanted["faithfulness"] = [explaining.faithfulness_task(network, image, asked, shown) for asked in shown]
        if "sanity" in wishes:
            wanted["sanity"] = [explaining.sanity_task(network, image, shown[0])]
        return wanted

    def _asked(self) -> list[Asked]:
        """The maps that are shown, the first one first; none before the network has been looked at."""
        if not self._subject.looked:
            return []
        about, target = self._subject.about, self._subject.explained(self.target)
        found = []
        for method in map(self._methods.__getitem__, (self.method, *self.compare)):
            layer = {Place.GRID: self.layer, Place.ANYWHERE: self.place, Place.IMAGES: ""}[method.place]
            options = tuple((option.name, getattr(self, option.name)) for option in method.sliders)
            found.append(Asked(about, method, target, layer or None, options))
        return found

    def _scene(self) -> SaliencyScene:
        found = self._session.get
        shown = [
            Shown(asked, found(asked), self._before.get(asked.name), found(("faithfulness", asked)))
            for asked in self._asked()
        ]
        self._before |= {each.asked.name: each.found for each in shown if isinstance(each.found, Attribution)}
        stopped = self._session.state in ("stopped", "error")
        return SaliencyScene(
            painter=self._painter,
            about=self._subject.about,
            image=self._subject.shown,
            expression=self.expression,
            shown=shown,
            look=Look(self.view, self.overlay, self.opacity if self.overlay == "blend" else 0.0, self.colormap),
            locked=self._locked_limits(shown),
            input_line=self._subject.certainty(self._subject.explained(self.target)) if shown else "",
            waiting="Not computed yet: it was cancelled or failed." if stopped else "",
            keeps=self._session.state != "stopped",
            outdated=self._outdated(),
            check=self.randomization,
            preprocessing=found(("preprocessing", self._subject.about[:2])),
        )

    def _locked_limits(self, shown: list[Shown]) -> Limits | None:
        """The limits that all maps share from when they were locked on."""
        if not self.locked:
            return None
        if self.view not in self._limits:
            maps = [each.map for each in shown if each.map is not None]
            found = widest(maps, self.view, self._subject.size)
            if found is None or any(each.found is None for each in shown):
                return found
            self._limits[self.view] = found
        return self._limits[self.view]

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {
            "measure": self.measure,
            "check": self.check,
            "click": lambda: self._on_click(content),
            "uncover": lambda: self.set_trait("covered", []),
        }

    def _on_click(self, place: dict[str, Any]) -> None:
        act = {"occlude": self.occlude, "unit": self.explain}.get(self.click)
        if act:
            act(place["row"], place["column"])

    def _value(self, pane: str, row: int, column: int) -> str:
        if pane == "input":
            return value_of_image(self._subject.shown, *self._pixel([row, column]))
        asked = next((each for each in self._asked() if each.name == pane), None)
        found = asked and self._session.get(asked)
        if not isinstance(found, Attribution):
            return "no map"
        (shown,) = [each for each in self._scene().panes() if each.key == pane]
        return value_of_map(found.map[0].detach().float().cpu(), self.view, shown.size, row, column)
