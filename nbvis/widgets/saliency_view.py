"""SaliencyView: what in a picture drove a network's answer, by every classic method, with the checks beside it.

Messages from a view, beside those of `base`:

| type | with | asks for |
|---|---|---|
| play, cancel | | what is missing; nothing more |
| measure, check | | the faithfulness of the maps shown; the sanity check of the first |
| click | row, column | what `click` says, at this pixel of the image |
| uncover | | the image as it was |
| value | id, pane, row, column | a reply: the value at this pixel of a pane's picture |

A frame has `doing`, `done`, `total` and the seconds `left` of what is being computed, and with pictures the `panes`,
each with the index of its buffer, and the indexes of the `film` of the sanity check.
"""

import functools
from pathlib import Path
from typing import Any

import traitlets as t
from torch import nn

from nbvis import engine
from nbvis.engine import Attribution, Faithfulness, Network, Objective, RandomizationCheck
from nbvis.engine.images import Images
from nbvis.engine.layout import planes
from nbvis.engine.network import as_network
from nbvis.sessions import Answers, Refusal, described

from . import explaining, scene
from .explaining import Asked
from .numbers import InvalidValueError
from .page import page
from .painting import COLORMAPS, Look
from .panes import Painter, Pane, value_of_image, value_of_map, widest
from .recipe import attribution_recipe
from .saliency_controls import SaliencyControls
from .scene import Measured, Scene, Shown
from .subject import Subject
from .views import VIEWS, Limits


class SaliencyView(SaliencyControls, front_end="saliency_view"):
    """Attributions of a picture: maps side by side, how far they can be trusted, and what changes as parts are covered.

    Whatever is set is computed in the background, and an answer found once is kept.

    Args:
        network: a `Network` or a bare module.
        image: (1, channels, height, width) or (channels, height, width), usually in [0, 1], or what else `as_images`
            takes.
        target: a class, by index or label; None for the predicted one; or any `Objective`.
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

    _session: Answers

    def __init__(self, network: Network | nn.Module, image: Images, target: Any = None, **options: Any):
        self._subject = Subject(as_network(network), image)
        target = self._subject.target(target)
        self._painter = Painter()
        self._clicked: tuple[Objective, int, int] | None = None
        self._before: dict[str, Attribution] = {}
        self._limits: dict[str, Limits] = {}
        super().__init__(
            image=self._subject.image,
            target=target,
            methods=explaining.methods(),
            views=[[name, view.label, view.sentence] for name, view in VIEWS.items()],
            colormaps=COLORMAPS,
            layers=self._subject.layers,
            labels=self._subject.labels,
            **{"layer": self._subject.cam_layer} | options,
        )
        self._session = Answers(
            listener=self._on_header, rested=self._update_still, background=self.background, listens=self._hearing
        )
        self._ask()

    def __repr__(self) -> str:
        """What it explains, and how; the same on every machine."""
        names = ", ".join(asked.label for asked in self._asked())
        return f"SaliencyView({self.subject}, {self.expression}: {names})"

    def play(self) -> None:
        """Computes what is missing."""
        self._ask()

    def pause(self) -> None:
        """Ends what is being computed, as `stop` does."""
        self.stop()

    def stop(self) -> None:
        """Ends what is being computed; `play` begins it again."""
        self._session.cancel()

    def measure(self) -> None:
        """Computes the faithfulness of the maps shown; see `bars` and `faithfulness`."""
        self._ask(measure=True)

    def check(self) -> None:
        """Runs the sanity check of the first map; see `sanity` and `randomization`."""
        self._ask(check=True)

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
        (shape,) = [shape for name, _, shape in self.layers if name == self.layer]
        place = row * shape[1] // self._subject.size[0], column * shape[2] // self._subject.size[1]
        index = self.channel
        if index is None:
            found = engine.activations(self._subject.network, self._subject.shown, [self.layer])
            index = int(planes(found, self.layer)[0, :, place[0], place[1]].argmax())
        unit = _unit(self.layer, index, *place)
        self._clicked = (unit, row, column)
        self.target = unit

    @property
    def unit(self) -> tuple[str, int | None]:
        """The layer and channel; setting it explains the channel, or the whole layer."""
        return self.layer, self.channel

    @unit.setter
    def unit(self, unit: tuple[str, int | None]) -> None:
        self._clicked = None
        with self._traits_lock, self.hold_trait_notifications():
            self.layer, self.channel = unit
        self.target = engine.activity(self.layer) if self.channel is None else engine.channel(self.layer, self.channel)

    @property
    def result(self) -> Attribution:
        """The attribution by `method`; waits for it if it is being computed.

        Raises:
            RuntimeError: if there is none; the message says why.
        """
        asked, found = self._answers()[0]
        if isinstance(found, Attribution):
            return found
        stopped = "it was stopped, and play() computes it"
        why = found.reason if isinstance(found, Refusal) else self._session.error or stopped
        raise RuntimeError(f"there is no map by {asked.method}: {why}")

    @property
    def results(self) -> dict[str, Attribution]:
        """The attributions shown, by method; waits for them. One that there can be none of is left out; see `notes`."""
        return {asked.method: each for asked, each in self._answers() if isinstance(each, Attribution)}

    @property
    def faithfulness(self) -> dict[str, Faithfulness]:
        """The curves of the maps shown, by method, as far as they were measured."""
        return {asked.method: each for asked, each in self._measured() if isinstance(each, Faithfulness)}

    @property
    def randomization(self) -> RandomizationCheck | None:
        """The sanity check of the first map, None before `check`."""
        found = self._session.get(("sanity", self._asked()[0]))
        return found if isinstance(found, RandomizationCheck) else None

    def recipe(self) -> str:
        """Python source that makes the maps shown, from the network, the image and an objective of your own."""
        shown = self._asked()
        found = {asked.method: self._session.get(asked) for asked in shown}
        refused = {method: each.reason for method, each in found.items() if isinstance(each, Refusal)}
        calls = {asked.method: asked.arguments() for asked in shown if asked.method not in refused}
        source, target = self._subject.source, shown[0].target
        return attribution_recipe(source, self.covered, int(self.window), target, self.expression, calls, refused)

    def save(self, path: str | Path) -> None:
        """Waits for the maps and writes them to a file, side by side; see `Widget.save`."""
        self._answers()
        super().save(path)

    @t.observe("method")
    def _on_method(self, change: Any) -> None:
        self.compare = [name for name in self.compare if name != self.method]

    @t.observe("image")
    def _on_image(self, change: Any) -> None:
        if hasattr(self, "_session"):
            self._before = {}
            self.covered, self.layers, self.labels = [], self._subject.layers, self._subject.labels
        height, width = self._subject.size
        self.set_trait("subject", f"{self._subject.network.name} · {height} × {width}")

    @t.observe("layer", "channel")
    def _on_unit(self, change: Any) -> None:
        if self.channel is not None and self.channel >= self._channels(self.layer):
            self.channel = None
        if self._clicked and self._clicked[0] is self.target:
            self.explain(*self._clicked[1:])

    @t.observe("method", "compare", "image", "target", "layer", "place", "covered", *explaining.SLIDERS)
    def _on_question(self, change: Any) -> None:
        if hasattr(self, "_session"):
            self._ask()

    @t.observe("view", "overlay", "opacity", "colormap", "locked")
    def _on_look(self, change: Any) -> None:
        if change["name"] == "locked":
            self._limits = {}
        if hasattr(self, "_session"):
            self._renew()

    def _ask(self, measure: bool = False, check: bool = False) -> None:
        """Asks for whatever is shown, and drops what was asked about something else."""
        network, subject = self._subject.network, self._subject
        subject.cover(self.covered, int(self.window))
        subject.predict()
        self.top, explained = subject.likeliest(), subject.explained(self.target)
        self.expression = self.labels[explained] if isinstance(explained, int) else str(explained)
        shown, image = self._asked(), subject.shown
        wanted = {
            "maps": [explaining.map_task(network, image, asked) for asked in shown],
            "preprocessing": [explaining.preprocessing_task(network, self.image, subject.about[:2])],
        }
        for kind in ("faithfulness", "sanity"):
            wanted[kind] = [task for task in self._session.wanted(kind) if task.key[1] in shown]
        if measure:
            wanted["faithfulness"] = [explaining.faithfulness_task(network, image, asked, shown) for asked in shown]
        if check:
            wanted["sanity"] = [explaining.sanity_task(network, image, shown[0])]
        self._session.ask(**wanted)
        self._told()  # what is known already need not wait for a view to draw

    def _renew(self) -> None:
        """Shows it anew; if the network is not what it was when all was answered, asks again."""
        if self._session.state == "finished" and any(self._session.get(asked) is None for asked in self._asked()):
            self._ask()
        else:
            self._session.changed()

    def _answers(self) -> list[tuple[Asked, Attribution | Refusal | None]]:
        """The answers to what is shown, once they are there."""
        self.wait()
        if self._session.state == "finished":  # the network may have been trained since
            self._ask()
            self.wait()
        return [(asked, self._session.get(asked)) for asked in self._asked()]

    def _asked(self) -> list[Asked]:
        """The maps that are shown, the first one first."""
        about, target = self._subject.about, self._subject.explained(self.target)
        found = []
        for method in (self.method, *self.compare):
            layer = self.layer if method in explaining.CAMS else self.place
            options = tuple((name, getattr(self, name)) for name in explaining.sliders(method))
            found.append(Asked(about, method, target, layer or None, options))
        return found

    def _measured(self) -> Measured:
        answers = [(asked, self._session.get(("faithfulness", asked))) for asked in self._asked()]
        return [(asked, answer) for asked, answer in answers if answer is not None]

    def _scene(self) -> Scene:
        shown = [Shown(asked, self._session.get(asked), self._before.get(asked.method)) for asked in self._asked()]
        self._before |= {each.asked.method: each.found for each in shown if isinstance(each.found, Attribution)}
        look = Look(self.view, self.overlay, self.opacity if self.overlay == "blend" else 0.0, self.colormap)
        stopped = self._session.state in ("stopped", "error")
        return Scene(
            about=self._subject.about,
            image=self._subject.shown,
            shown=shown,
            look=look,
            locked=self._locked_limits(shown),
            input_line=self._subject.certainty(self._subject.explained(self.target)),
            waiting="Not computed yet: it was cancelled or failed." if stopped else "",
            keeps=self._session.state != "stopped",
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

    def _panes(self) -> list[Pane]:
        return scene.panes(self._painter, self._scene())

    def _told(self) -> None:
        """Takes over what the session knows."""
        with self._traits_lock:
            super()._told()
            check, read = self.randomization, self._session.get(("preprocessing", self._subject.about[:2]))
            self.bars = scene.bars(self._measured())
            self.sanity = scene.sanity(self._asked()[0], check) if check else {}
            self.preprocessing, self.preprocessing_fit = explaining.preprocessing_line(read)

    def _on_header(self, header: dict[str, Any]) -> None:
        """Passes on what the session tells, with pictures if it asks for them, on its thread or a caller's."""
        self._told()
        panes, film = [], []
        if header["format"]:
            now, check = self._scene(), self.randomization
            panes = scene.panes(self._painter, now)
            film = scene.film(self._painter, now, now.shown[0].asked, check) if check else []
        pictures = [pane.picture for pane in panes] + film
        places = iter(range(len(pictures)))
        indexes = [next(places) if picture else -1 for picture in pictures]
        header |= {"panes": [pane.header(index) for pane, index in zip(panes, indexes, strict=False)]}
        header |= {"film": indexes[len(panes) :]}
        self.send(header, [picture.png for picture in pictures if picture] or None)

    def _current_notes(self) -> str:
        return scene.notes(self._scene(), self._measured(), self.randomization)

    def _picture(self) -> bytes:
        return scene.whole_sheet(self._panes(), self._subject.size)

    def _page(self) -> str:
        names = {name: view.label for name, view in VIEWS.items()}
        facts = {"Network": self.subject, "Explained": self.expression, "View": names[self.view]}
        facts |= {asked.label: ", ".join(f"{k} {v}" for k, v in asked.arguments().items()) for asked in self._asked()}
        facts |= scene.page_facts(self.bars, self.sanity) | {"Preprocessing": self.preprocessing}
        facts |= {"Notes": self.notes} if self.notes else {}
        return page(f"What speaks for {self.expression}", scene.cells(self._panes()), facts, self.recipe())

    def _words(self) -> str:
        shown = "; ".join(cell.words for cell in scene.cells(self._panes()))
        return f"What speaks for {self.expression}. {shown}."

    def _on_message(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content.get("type")
        acts = {"play": self.play, "cancel": self.stop, "measure": self.measure, "check": self.check}
        acts |= {"click": lambda: self._on_click(content), "uncover": lambda: self.set_trait("covered", [])}
        if kind == "value":
            self._reply(content)
        elif kind not in acts:
            super()._on_message(_, content, buffers)
        else:
            try:
                acts[kind]()
            except (ValueError, RuntimeError) as error:
                self.error = described(error)

    def _on_click(self, place: dict[str, Any]) -> None:
        act = {"occlude": self.occlude, "unit": self.explain}.get(self.click)
        if act:
            act(place["row"], place["column"])

    def _answer(self, content: dict[str, Any]) -> str | bytes:
        if content["type"] != "value":
            return super()._answer(content)
        row, column = content["row"], content["column"]
        if content["pane"] == "input":
            return value_of_image(self._subject.shown, *self._pixel([row, column]))
        asked = next((each for each in self._asked() if each.method == content["pane"]), None)
        found = asked and self._session.get(asked)
        if not isinstance(found, Attribution):
            return "no map"
        (pane,) = [pane for pane in self._panes() if pane.key == content["pane"]]
        return value_of_map(found.map[0].detach().float().cpu(), self.view, pane.size, row, column)


@functools.lru_cache(64)
def _unit(layer: str, index: int, row: int, column: int) -> Objective:
    return engine.unit(layer, index, row, column)
