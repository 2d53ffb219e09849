"""A panel on an objective: typed as a formula, put together from terms, and weighed while the run goes.

Messages from a view, beside those of `base` and `run`:

| type | with | asks for |
|---|---|---|
| formula | id, text, cursor | a reply: {start, end, candidates, error}, in JSON |
| add | what: unit or class; index of the class | another term |
| guide | name, and a file's bytes as a buffer | a term that a second picture guides |
| remove | term | all terms but this one |
"""

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets as t

from nbvis.engine import OUTPUT, FormulaError, Objective, complete, formula, guide, logit, without_gradient
from nbvis.sessions import Finding, described

from . import reading
from .dreaming import Tried, canonical, checked, middle, objective_of
from .later import Later, LaterList, LaterText
from .numbers import InvalidValueError
from .run import RunWidget
from .terms import replaced, retyped, rows, text_of, unit_of, weighted, weights, without
from .units import UnitWidget


class LaterObjective(Later, t.Instance):
    """An objective."""


class ObjectiveWidget(RunWidget, UnitWidget):
    """A panel on an objective of weighted terms, one of which is selected; `layer` and `channel` are that one's."""

    _no_channel = "all of them"
    layer = LaterText(help="The layer of the selected term; empty if it is about something else.").tag(sync=True)
    channel = t.Int(None, allow_none=True, help="Its channel; None for the whole layer.").tag(sync=True)
    objective = LaterObjective(Objective, allow_none=True, help="What is to score high: any objective of the engine.")
    formula = LaterText(help="The same as text, such as layer3[12] + 0.5*logit[tabby].").tag(sync=True)
    weights = LaterList(t.Float(), help="How much each term of the objective weighs.").tag(sync=True)
    term = t.Int(0, help="The selected term, counted from 0.").tag(sync=True)
    expression = LaterText(help="The objective, as it is written in Python.").tag(sync=True)
    layers = LaterList(help="The layers there are: {name, kind, shape: (channels, …)} of each.").tag(sync=True)
    labels = t.List(t.Unicode(), help="The name of each class; empty until they are known.").tag(sync=True)
    _terms = t.List(help="The terms: {text, label, masked} of each.").tag(sync=True)

    def _start_with(self, objective: Objective | None) -> None:
        """Takes the objective that was given; called before any trait is set."""
        self._asked = self._given_objective = objective
        self._fits: Objective | None = None
        self._tried: Tried | None = None
        self._trial: Finding | None = None

    def _renew(self) -> None:
        """Tells the session what is not what it was."""
        raise NotImplementedError

    def add(self, objective: Objective) -> None:
        """Adds an objective to the one there is, and selects it.

        Raises:
            ValueError: if it does not fit the network and the picture; the message says why.
        """
        now = self.objective
        self.objective = objective if now is None else now + objective
        self.term = len(self.weights) - 1

    def remove(self, term: int) -> None:
        """Leaves out a term.

        Args:
            term: which, from 0.

        Raises:
            ValueError: if there is no such term, or no other.
        """
        now = self.objective
        if now is None or not 0 <= term < len(now.terms):
            raise InvalidValueError(f"no term {term}: there are {len(now.terms) if now else 0}, counted from 0")
        if len(now.terms) == 1:
            raise InvalidValueError("without a term there is nothing to climb: add another one first")
        self._take(without(now, term))

    def _see(self) -> Finding:
        return self._look_at(self._subject, *([self._given_objective] if self._given_objective else []))

    def _must_fit(self) -> list[Objective]:
        return [self._fits] if self._fits else []

    def _take_over(self, first: bool) -> None:
        super()._take_over(first)
        found = self.layers = self._subject.layers
        if self._fits is None:
            own = self._given_objective
            if own is None:
                layer = self._possible(self.layer) if self.layer else middle(found)
                own = objective_of(layer, self._subject_channel(layer))
            asked = self._asked
            self._take(own)
            if asked is not None and asked is not own:  # since then, and not known to fit yet
                self._asked = self.objective = asked

    def _subject_channel(self, layer: str) -> int | None:
        """The channel that was given, if the layer has it."""
        return None if self.channel is None else self._subject.channel(layer, self.channel, self._no_channel)

    def _on_tried(self, tried: Tried) -> None:
        """Takes over what small pictures told about the network."""
        with self._traits_lock:
            self._tried = tried
            known = self._subject.network.labels or []
            self.labels = [known[k] if k < len(known) else f"class {k}" for k in range(tried.classes)]
            if self.layer:
                self._possible(self.layer)
            self._follow()

    def _take(self, objective: Objective) -> None:
        """Has the run follow an objective that is known to fit."""
        self._fits = self._asked = canonical(objective)
        if self.objective is self._fits:
            self._renew()
        else:
            self.objective = self._fits

    def _possible(self, layer: str) -> str:
        """The layer, if one can climb there, as far as is known."""
        self._subject.layer(layer)
        flows = self._tried.flows if self._tried else None
        if flows is not None and not {layer, layer.rpartition(":")[0]} & flows:
            raise InvalidValueError(str(without_gradient(layer)))
        return layer

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        name = proposal["value"]
        if name == "" and (not self._subject.looked or self._selected() is None):
            return name
        return self._possible(name)

    @t.validate("objective")
    def _validate_objective(self, proposal: Any) -> Objective | None:
        own = proposal["value"]
        if own is None and self._subject.looked:
            own = objective_of(middle(self._subject.layers), None)
        self._check(own)
        return own

    @t.validate("formula")
    def _validate_formula(self, proposal: Any) -> str:
        text, now = proposal["value"], self.objective
        if now is not None and text == text_of(now):
            return text
        self._typed = typed(now, text, *self._known())
        self._check(self._typed)
        return text

    @t.validate("weights")
    def _validate_weights(self, proposal: Any) -> list[float]:
        value, count = proposal["value"], len(self.objective.terms) if self.objective else 0
        if len(value) != count and not self._told_by_a_view:
            self._lookout.wait()  # they may be those of an objective that has just been given
            count = len(self.objective.terms) if self.objective else 0
        if len(value) != count or not all(map(math.isfinite, value)):
            raise InvalidValueError(f"weights are {count} numbers, one for each term, not {value}")
        return value

    @t.validate("term")
    def _validate_term(self, proposal: Any) -> int:
        value, count = proposal["value"], len(self.objective.terms) if self.objective else 0
        if self._subject.looked and not 0 <= value < count:
            raise InvalidValueError(f"no term {value}: there are {count}, counted from 0")
        return value

    def _check(self, objective: Objective | None) -> None:
        """Has the worker find out whether an objective fits, unless that is known or asked already."""
        if objective is None or objective is self._asked or objective is self._fits:
            return
        self._asked = objective
        work = functools.partial(checked, self._subject.network, objective, self._start_image())
        look = self._find_out(work, self._on_checked)
        if look.error:
            self._asked = self._fits
            raise InvalidValueError(described(look.error)) from look.error

    @property
    def _checking(self) -> bool:
        """Whether it is being found out if an objective fits."""
        return self._fits is not None and self._asked is not self._fits

    def _once_seen(self, act: Callable[[], None]) -> None:
        if self._doing or not self._checking:
            return super()._once_seen(act)
        self._later = act  # the run is to be of what was given last
        self._do_later()  # it may have been found out meanwhile
        if self._later:
            self._tell_running(True)

    def _do_later(self) -> None:
        if not self._checking:
            super()._do_later()

    def _on_checked(self, objective: Objective) -> None:
        with self._traits_lock:
            if objective is not self._asked:
                return
            self._take(objective)
        self._do_later()

    def _on_failure(self, look: Finding) -> None:
        with self._traits_lock:
            if self._checking:
                self._later = None
                self._tell_running(self._is_running())
            self._asked = self._fits
            if self._fits is not None:
                self.objective = self._fits
                self._follow()
        super()._on_failure(look)

    @t.observe("objective")
    def _on_objective(self, change: Any) -> None:
        self._follow()
        self._renew()

    @t.observe("formula")
    def _on_formula(self, change: Any) -> None:
        now = self.objective
        if now is not None and self.formula != text_of(now):
            self.objective = self._typed
            self._follow()  # the worker may have set it before

    @t.observe("weights")
    def _on_weights(self, change: Any) -> None:
        now = self.objective
        if now is not None and self.weights != weights(now):
            self._take(weighted(now, self.weights))

    @t.observe("term")
    def _on_term(self, change: Any) -> None:
        self._follow()

    @t.observe("layer", "channel")
    def _on_unit(self, change: Any) -> None:
        now = self.objective
        if now is None or not self.layer or (self.layer, self.channel) == self._selected():
            return
        count, channel = self._subject.channels(self.layer), self.channel
        if count is not None and channel is not None and channel >= count:
            channel = None
        self._take(replaced(now, self.term, objective_of(self.layer, channel)))

    def _selected(self) -> tuple[str, int | None] | None:
        """The layer and channel that the selected term is about."""
        now = self.objective
        return unit_of(now, self.term) if now is not None and self.term < len(now.terms) else None

    def _follow(self) -> None:
        """Has all that says the objective say what it is now."""
        now = self.objective
        if now is None:
            return
        with self.hold_trait_notifications():
            self.weights, self._terms = weights(now), rows(now, self.labels)
            self.formula, self.expression = text_of(now), str(now)
            self.term = min(self.term, len(now.terms) - 1)
            self.layer, self.channel = self._selected() or ("", None)

    def _known(self) -> tuple[dict[str, int | None] | None, list[str] | None]:
        """The layers with the number of their channels, and the classes' labels, as far as they are known."""
        if not self._subject.looked:
            return None, self._subject.network.labels
        layers: dict[str, int | None] = {row["name"]: row["shape"][0] for row in self._subject.layers}
        if self._tried:
            layers[OUTPUT] = self._tried.classes or None
        return layers, self._subject.network.labels

    def _completed(self, text: str, cursor: int) -> str:
        """What could stand at the cursor of a formula, and what is wrong with it, in JSON."""
        layers, labels = self._known()
        found, wrong = complete(text, cursor, layers or (), labels), None
        try:
            formula(text, layers, labels)
        except FormulaError as error:
            wrong = {"reason": error.reason, "start": error.position, "length": error.length}
        candidates = list(found.candidates[:60])
        return json.dumps({"start": found.start, "end": found.end, "candidates": candidates, "error": wrong})

    def _add_asked(self, content: dict[str, Any]) -> None:
        """Adds the term that a view asks for."""
        if content["what"] == "class":
            return self.add(logit(content["index"]))
        count = self._subject.channels(layer := self._some_layer()) or 1
        self.add(objective_of(layer, 0 if self.channel is None else (self.channel + 1) % count))

    def _add_guide(self, content: dict[str, Any]) -> None:
        wanted = reading.Wanted(self._subject.image.shape[1], True)
        self._find_out(functools.partial(_guided, self._some_layer(), content, wanted), self.add)

    def _some_layer(self) -> str:
        """The layer of the selected term, or of another one, or that in the middle."""
        now = self.objective
        units = [unit_of(now, at) for at in range(len(now.terms))] if now else []
        named = self.layer or next((unit[0] for unit in units if unit), "")
        return named or (middle(self._subject.layers) if self._subject.layers else "")

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {
            "formula": lambda: self._reply(content, lambda: self._completed(content["text"], content["cursor"])),
            "add": lambda: self._add_asked(content),
            "guide": lambda: self._add_guide(content),
            "remove": lambda: self.remove(content["term"]),
        }


def typed(
    now: Objective | None, text: str, layers: Mapping[str, int | None] | None, labels: Sequence[str] | None
) -> Objective:
    """The objective that a formula says, as `retyped` has it.

    Raises:
        ValueError: if it is none; the message shows where.
    """
    try:
        return retyped(now, text, layers, labels)
    except FormulaError as error:
        raise InvalidValueError(str(error)) from None


def _guided(layer: str, content: dict[str, Any], wanted: reading.Wanted) -> Objective:
    given = reading.of_bytes(content["buffers"][0], "opened", content["name"], "", wanted)
    return guide(layer, given.image)
