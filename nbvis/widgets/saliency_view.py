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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import traitlets as t
from torch import Tensor, nn

from nbvis import engine
from nbvis.engine import (
    METHODS,
    Attribution,
    Faithfulness,
    Images,
    Method,
    Network,
    Objective,
    Place,
    RandomizationCheck,
    as_network,
    own_method,
    planes,
)
from nbvis.sessions import Answers, Finding, Refusal, described

from . import explaining, scene
from .explaining import Asked
from .given import Given, fitted, given_image
from .notes import Note, plain
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

    _session: Answers

    def __init__(
        self,
        network: Network | nn.Module,
        image: Images,
        target: Any = None,
        own: Mapping[str, Callable[..., Tensor]] | None = None,
        **options: Any,
    ):
        self._own = dict(own or {})
        self._methods = {**METHODS, **_own_methods(self._own)}
        given = given_image(image, "SaliencyView", bounded=False, longest=options.pop("working_size", "auto"))
        self._subject = Subject(as_network(network), given)
        self._painter = Painter()
        self._clicked: tuple[Objective, int, int] | None = None
        self._before: dict[str, Attribution] = {}
        self._limits: dict[str, Limits] = {}
        self._fitting: Any = target  # the last target that is known to fit
        self._wishes: set[str] = set()
        self._wish = 0
        super().__init__(
            image=given.original,
            working_size=given.longest,
            target=target,
            methods=explaining.records(self._methods.values()),
            views=[[name, view.label, view.sentence] for name, view in VIEWS.items()],
            colormaps=COLORMAPS,
            **options,
        )
        self._name_subject()
        self._session = Answers(
            listener=self._on_header, rested=self._update_still, background=self.background, listens=self._hearing
        )
        self._begin_to_see()

    def __repr__(self) -> str:
        """What it explains, and how; the same on every machine."""
        names = ", ".join(asked.label for asked in self._asked())
        return f"SaliencyView({self.subject}, {self.expression}: {names})"

    def play(self) -> None:
        """Computes what is missing."""
        self._refusal = "", ""
        if not self._subject.looked and self._look is not None and self._look.over:
            self._begin_to_see()
        self._ask()

    def pause(self) -> None:
        """Ends what is being computed, as `stop` does."""
        self.stop()

    def stop(self) -> None:
        """Ends what is being computed; `play` begins it again."""
        self._wish += 1
        self._wishes.clear()
        self._session.stop()

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
        (shape,) = [shape for name, _, shape in self.layers if name == self.layer]
        place = row * shape[1] // self._subject.size[0], column * shape[2] // self._subject.size[1]
        if self.channel is not None:
            self._explain_unit((self.layer, self.channel, *place), (row, column))
            return
        work = functools.partial(_strongest, self._subject, self.layer, place, (row, column))
        look = self._find_out(work, self._on_strongest)
        if look.error:
            raise look.error

    def _on_strongest(self, found: tuple[tuple[str, int, int, int], tuple[int, int]]) -> None:
        with self._traits_lock:
            self._explain_unit(*found)

    def _explain_unit(self, unit: tuple[str, int, int, int], clicked: tuple[int, int]) -> None:
        fitting = _unit(*unit)
        self._clicked = (fitting, *clicked)
        self._fitting = fitting
        self.target = fitting

    @property
    def unit(self) -> tuple[str, int | None]:
        """The layer and channel; setting it explains the channel, or the whole layer."""
        return self.layer, self.channel

    @unit.setter
    def unit(self, unit: tuple[str, int | None]) -> None:
        self._clicked = None
        with self.hold_trait_notifications():
            self.layer, self.channel = unit
        self.target = engine.activity(self.layer) if self.channel is None else engine.channel(self.layer, self.channel)

    @property
    def result(self) -> Attribution:
        """The attribution by `method`; waits for it if it is being computed.

        Raises:
            RuntimeError: if there is none; the message says why.
        """
        answers = self._answers()
        if not answers:
            raise RuntimeError(f"there is no map: {self.error or 'this view is closed'}")
        asked, found = answers[0]
        if isinstance(found, Attribution):
            return found
        stopped = "it was stopped, and play() computes it"
        why = found.reason if isinstance(found, Refusal) else self._session.error or stopped
        raise RuntimeError(f"there is no map by {asked.name}: {why}")

    @property
    def results(self) -> dict[str, Attribution]:
        """The attributions shown, by method; waits for them. One that there can be none of is left out; see `notes`."""
        return {asked.name: each for asked, each in self._answers() if isinstance(each, Attribution)}

    @property
    def faithfulness(self) -> dict[str, Faithfulness]:
        """The curves of the maps shown, by method, as far as they were measured."""
        return {asked.name: each for asked, each in self._measured() if isinstance(each, Faithfulness)}

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
        source, target = self._subject.source, shown[0].target
        side, label = int(self.window), self.expression
        return attribution_recipe(source, self.covered, side, target, label, calls, refused, self._own)

    def save(self, path: str | Path) -> None:
        """Waits for the maps and writes them to a file, side by side; see `Widget.save`."""
        self._answers()
        super().save(path)

    @t.observe("method")
    def _on_method(self, change: Any) -> None:
        self.compare = [name for name in self.compare if name != self.method]

    def _name_subject(self) -> None:
        self._sizes = self._subject.given.sizes()
        height, width = self._subject.size
        self.set_trait("subject", f"{self._subject.network.name} · {height} × {width}")

    def _begin_to_see(self) -> None:
        """Looks at the network and the picture for the first time, or again after an error."""
        self._doing = "Looking at the network and the picture…"
        work = functools.partial(_seen, self._subject, self.target)
        self._look = None
        self._look = self._find_out(work, self._on_seen)
        if self._look.over and self._look.error:
            raise self._look.error

    def _on_seen(self, seen: tuple[Subject, Any, Any]) -> None:
        """Takes over what was found out about the network and an image."""
        subject, given, target = seen
        with self._traits_lock:
            first, self._subject = subject is self._subject, subject
            refused = None
            if first and self.target is not given:
                try:
                    target = subject.target(self.target)
                except (ValueError, TypeError, RuntimeError) as error:
                    refused = error
            with self.hold_trait_notifications():
                self.layers, self.labels = subject.layers, subject.labels
                if first:
                    self._fitting = self.target = target
                    self.layer = self.layer or subject.cam_layer
                else:
                    self._before, self.covered = {}, []
                    self.working_size = subject.given.longest
                    self._name_subject()
        self._with_space("layer", self.layer)
        if self.place:
            self._with_space("place", self.place)
        self._doing = ""
        self._wish += 1
        self._on_predicted((subject, self._wish))
        if refused is not None:
            raise refused

    def _on_failure(self, look: Finding) -> None:
        if not self._subject.looked:
            if look.error:
                self._session.fail(look.error)
            return
        with self._traits_lock:
            given = self._subject.given
            self.image, self.working_size, self.target = given.original, given.longest, self._fitting
        super()._on_failure(look)

    @t.validate("image")
    def _validate_image(self, proposal: Any) -> Tensor:
        if proposal["value"] is self._subject.given.original:
            return self._subject.given.original
        given = given_image(proposal["value"], "SaliencyView", bounded=False)
        self._look_at(given)
        return given.original

    @t.validate("working_size")
    def _validate_working_size(self, proposal: Any) -> int | None:
        given = fitted(self._subject.given, proposal["value"])
        if given.longest != self._subject.given.longest:
            self._look_at(given)
        return given.longest

    def _look_at(self, given: Given) -> None:
        """Looks at another picture, or the same at another size."""
        subject = Subject(self._subject.network, given, self._subject.number + 1)
        look = self._find_out(functools.partial(_seen, subject), self._on_seen)
        if look.error:
            raise InvalidValueError(described(look.error)) from look.error

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
        if not self._subject.looked:
            return
        if self.channel is not None and self.channel >= self._channels(self.layer):
            self.channel = None
        if self._clicked and self._clicked[0] is self.target:
            self.explain(*self._clicked[1:])

    @t.observe("method", "compare", "target", "layer", "place", "covered", *explaining.OPTIONS)
    def _on_question(self, change: Any) -> None:
        if hasattr(self, "_session"):
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
        if hasattr(self, "_session"):
            self._renew()

    def _ask(self, *wishes: str) -> None:
        """Asks for whatever is shown, and drops what was asked about something else; `wishes` are checks of it."""
        self._wishes |= set(wishes)
        if self._subject.looked:
            self._wish += 1
            work = functools.partial(_predicted, self._subject, self.covered, int(self.window), self._wish)
            self._find_out(work, self._on_predicted, key="predict")

    def _on_predicted(self, found: tuple[Subject, int]) -> None:
        """Asks for the maps, now that it is known what is predicted."""
        subject, wish = found
        if subject is not self._subject or wish != self._wish:
            return
        with self._traits_lock:
            network, wishes = subject.network, set(self._wishes)
            self._wishes.clear()
            self.top = subject.likeliest()
            self._name_target()
            shown, image = self._asked(), subject.shown
        wanted = {
            "maps": [explaining.map_task(network, image, asked) for asked in shown],
            "preprocessing": [explaining.preprocessing_task(network, subject.image, subject.about[:2])],
        }
        for kind in ("faithfulness", "sanity"):
            wanted[kind] = [task for task in self._session.wanted(kind) if task.key[1] in shown]
        if "faithfulness" in wishes:
            wanted["faithfulness"] = [explaining.faithfulness_task(network, image, asked, shown) for asked in shown]
        if "sanity" in wishes:
            wanted["sanity"] = [explaining.sanity_task(network, image, shown[0])]
        self._session.ask(**wanted)
        self._told()  # what is known already need not wait for a view to draw

    def _renew(self) -> None:
        """Shows it anew; if the network has changed since all was answered, asks again."""
        if self._outdated():
            self._ask()
        else:
            self._session.changed()

    def _check_network(self) -> None:
        if self._outdated():
            self._session.changed()
            self._told()

    def _outdated(self) -> bool:
        """Whether the network has changed since all was answered."""
        if self._session.state != "finished" or not self._subject.looked:
            return False
        return self._subject.changed or any(self._session.get(asked) is None for asked in self._asked())

    def _answers(self) -> list[tuple[Asked, Attribution | Refusal | None]]:
        """The answers to what is shown, once they are there."""
        self.wait()
        if self._session.state == "finished":  # the network may have been trained since
            self._ask()
            self.wait()
        return [(asked, self._session.get(asked)) for asked in self._asked()]

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

    def _measured(self) -> Measured:
        answers = [(asked, self._session.get(("faithfulness", asked))) for asked in self._asked()]
        return [(asked, answer) for asked, answer in answers if answer is not None]

    def _scene(self) -> Scene:
        shown = [Shown(asked, self._session.get(asked), self._before.get(asked.name)) for asked in self._asked()]
        self._before |= {each.asked.name: each.found for each in shown if isinstance(each.found, Attribution)}
        look = Look(self.view, self.overlay, self.opacity if self.overlay == "blend" else 0.0, self.colormap)
        stopped = self._session.state in ("stopped", "error")
        return Scene(
            about=self._subject.about,
            image=self._subject.shown,
            shown=shown,
            look=look,
            locked=self._locked_limits(shown),
            input_line=self._subject.certainty(self._subject.explained(self.target)) if shown else "",
            waiting="Not computed yet: it was cancelled or failed." if stopped else "",
            keeps=self._session.state != "stopped",
            outdated=self._outdated(),
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
        with self._unhurried():
            self._pass_on(header)

    def _pass_on(self, header: dict[str, Any]) -> None:
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
        header |= {"film": indexes[len(panes) :], "outdated": self._outdated()}
        self.send(header, [picture.png for picture in pictures if picture] or None)

    def _current_notes(self) -> list[Note]:
        found = scene.notes(self._scene(), self._measured(), self.randomization)
        old = "The network has changed since these maps were computed: Compute again." if self._outdated() else ""
        return [*plain(old, self._subject.given.note), *found]

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
                self._refuse(error)

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
        asked = next((each for each in self._asked() if each.name == content["pane"]), None)
        found = asked and self._session.get(asked)
        if not isinstance(found, Attribution):
            return "no map"
        (pane,) = [pane for pane in self._panes() if pane.key == content["pane"]]
        return value_of_map(found.map[0].detach().float().cpu(), self.view, pane.size, row, column)


def _own_methods(functions: Mapping[str, Callable[..., Tensor]]) -> dict[str, Method]:
    """A record of each.

    Raises:
        TypeError: if one of them is no function of three arguments.
        ValueError: if one is called as a method that there is.
    """
    taken = [*METHODS, *(method.label for method in METHODS.values())]
    for name, function in functions.items():
        if name in taken:
            raise ValueError(f"there is a method {name!r} already: call your own otherwise")
        if not callable(function):
            raise TypeError(f"own[{name!r}] is a function (module, inputs, target) → map, not {function!r}")
    return {name: own_method(function, name) for name, function in functions.items()}


def _seen(subject: Subject, *target: Any) -> tuple[Subject, Any, Any]:
    """The subject, looked at, its target as it was given, and as it is kept."""
    subject.look()
    return (subject, target[0], subject.target(*target)) if target else (subject, None, None)


def _predicted(subject: Subject, corners: list[list[int]], side: int, wish: int) -> tuple[Subject, int]:
    subject.predict(corners, side)
    return subject, wish


def _strongest(
    subject: Subject, layer: str, place: tuple[int, int], clicked: tuple[int, int]
) -> tuple[tuple[str, int, int, int], tuple[int, int]]:
    """The unit with the highest activation at a place of a layer's grid."""
    values = planes(engine.activations(subject.network, subject.shown, [layer]), layer)
    return (layer, int(values[0, :, place[0], place[1]].argmax()), *place), clicked


@functools.lru_cache(64)
def _unit(layer: str, index: int, row: int, column: int) -> Objective:
    return engine.unit(layer, index, row, column)
