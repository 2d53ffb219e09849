"""ActivationStats: what every channel of a network does over a data set, and what is wrong with it.

Messages from a view, beside those of `base` and `questions`:

| type | with | asks for |
|---|---|---|
| pause | | a rest; play goes on |
| picture | id, which | a reply: the patches side by side, the images that they are from, or the matrix, as a PNG |

A frame with pictures has no panes: it says how far the collecting is, what the layers, the channels on the page and the
chosen one are, and where in its buffers their histograms lie: 64-bit floats, of each channel how many values are
exactly 0 and how many others fell into each bin.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import traitlets as t
from torch import nn

from nbvis.engine import Network, Statistics, as_network
from nbvis.sessions import Task

from .channel_answers import answers, questions
from .collection import Surveyed
from .data_set import DataSet
from .numbers import InvalidValueError
from .panes import Scene
from .recipe import statistics_recipe
from .statistics_controls import StatisticsControls, given_statistics, sorts
from .statistics_painting import table
from .statistics_records import pair_text
from .statistics_scene import StatisticsScene
from .statistics_shown import Shown

OPTIONS = ("layers", "bins", "range", "top", "correlation", "positions", "seed")
"""Those of `collect` that may be given."""


class ActivationStats(StatisticsControls, front_end="activation_stats"):
    """What every channel does over a data set: histograms, dead and saturated channels, correlation, maximal patches.

    `play` collects, batch by batch, and all is shown while it grows; `pause` rests, and `play` goes on.

    Args:
        network: a `Network` or a bare module.
        batches: image batches (batch, channels, height, width) in [0, 1], or (images, labels), in any iterable; or a
            data set of images such as `demo.crops(70)`, which is loaded in batches.
        statistics: of this network, collected before, to look at instead of collecting them; with `batches` those that
            they are of, for the patches.
        before: other statistics to compare with, such as those before the network was trained.
        options: any of the traits, and of the options of `collect` layers, bins, range, top, correlation, positions
            and seed.

    Raises:
        TypeError: for an unknown option, with the near matches, or batches that are none.
        ValueError: if there is neither a data set nor statistics, it is empty, the statistics are of another network,
            or an option does not fit.
        RuntimeError: if the network does not run on the images; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> stats = ActivationStats(net, torch.rand(10, 3, 8, 8).split(4), layer="1")
        >>> stats.result, stats.result["1"].mean.shape
        (Statistics(Sequential, 2 layers, 10 images), torch.Size([4]))
        >>> stats.close()
    """

    _subject: Surveyed
    _suffixes = ".png", ".html", ".csv"
    _settings = "values", "sort", "search", "log", "common_axis", "zoom", "patches"

    def __init__(
        self,
        network: Network | nn.Module,
        batches: Any = None,
        statistics: Statistics | None = None,
        before: Statistics | None = None,
        **options: Any,
    ):
        if batches is None and statistics is None:
            raise ValueError(
                "there is nothing to show: give batches of images, a data set such as demo.crops(70), or statistics"
            )
        self._before = given_statistics(before, "before")
        self._wants = self._begins = False
        self._turn = 0
        self._so_far: Hashable = None
        chosen = {name: options.pop(name) for name in OPTIONS if name in options}
        data = None if batches is None else DataSet(batches)
        super().__init__(
            Surveyed(as_network(network), data, given_statistics(statistics, "statistics"), chosen),
            sorts=sorts(before),
            **options,
        )

    def __repr__(self) -> str:
        """Of what; the same on every machine."""
        return f"ActivationStats({self.subject})"

    def play(self) -> None:
        """Collects, or goes on; from the beginning if the network has changed since."""
        self._wants = self._begins = self._subject.statistics is None
        super().play()

    def pause(self) -> None:
        """Rests as soon as the batch that is being worked on is over; `play` goes on."""
        self._wants = False
        self._session.stop()
        self._ask()

    def stop(self) -> None:
        """Rests, and nothing else is found out either."""
        self._wants = False
        super().stop()

    @property
    def result(self) -> Statistics:
        """The statistics; collects them if nobody has begun to, and waits. Those so far if they were paused.

        Raises:
            RuntimeError: if there are none; the message says why.
        """
        self._wait_for_answers()
        held = self._subject.collection
        if held is None or held.found is None:
            raise RuntimeError(f"there are no statistics: {self.error or 'this panel was stopped or closed'}")
        return held.found

    def recipe(self) -> str:
        """Python source that collects the statistics and names what is shown, from the network and the batches."""
        subject = self._subject
        single = subject.data is not None and subject.data.images is not None
        return statistics_recipe(subject.statistics is not None, single, subject.options, *self.unit)

    @t.observe("layer", "channel", "values", "patches")
    def _on_question(self, change: Any) -> None:
        if hasattr(self, "_session"):
            if change["name"] == "values":
                self.zoom = []
            self._ask()
            self._session.changed()

    def _take_over(self, first: bool) -> None:
        rows = self._subject.layers
        if not rows:
            raise ValueError("none of the network's layers has channels, so there are no statistics of them")
        telling = [row["name"] for row in rows if "ReLU" in row["kind"]] or [row["name"] for row in rows]
        self.layer = self._subject.layer(self.layer) if self.layer else telling[0]
        self._name_subject()
        try:
            self._possible_channel(self.channel)
        except InvalidValueError:
            self.channel = None
            raise

    def _preparation(self) -> Callable[[], None]:
        return self._subject.prepare if self._begins else _nothing

    def _tasks(self, wishes: set[str]) -> dict[str, list[Task]]:
        """Details of what is collected first, and again of all of it once it is: collecting rests meanwhile."""
        subject, held = self._subject, self._subject.collection
        assert held is not None
        self._begins = False
        self._turn += 1
        self._so_far = subject.about, held.found.images if held.found else 0
        collecting, view = self._wants and not held.over, self._view_shown()
        return {
            "now": [] if held.found is None or held.over else questions(subject, view, self._so_far),
            "statistics": [Task(("statistics", self._turn), "Collecting", held.run)] if collecting else [],
            "last": questions(subject, view, (subject.about, "all")) if collecting or held.over else [],
        }

    def _scene(self) -> StatisticsScene:
        subject, held, view = self._subject, self._subject.collection, self._view_shown()
        last = answers(self._session.get, subject, view, (subject.about, "all"))
        found = answers(self._session.get, subject, view, self._so_far)
        found |= {kind: answer for kind, answer in last.items() if answer}
        shown = Shown(
            network=subject.network.name,
            layers=subject.layers,
            collection=held,
            before=self._before,
            view=view,
            answers=found,
            about=(subject.about, self._so_far, *map(bool, last.values())),
            working=self._is_running(),
        )
        return StatisticsScene(self._painter, shown, self._outdated())

    def _told(self) -> Scene:
        scene = super()._told()
        self._name_subject()
        return scene

    def _is_running(self) -> bool:
        held = self._subject.collection
        return super()._is_running() and self._wants and held is not None and not held.over

    def _standing(self) -> str:
        held = self._subject.collection
        state = super()._standing()
        if held is None or held.over or self._wants or state not in ("finished", "stopped"):
            return state
        if held.busy:  # for as long as its batch takes, also where nothing else is to be found out
            return "running"
        return "ready" if held.found is None else "paused"

    def _outdated(self) -> bool:
        held = self._subject.collection
        return held is not None and held.found is not None and not self._is_running() and self._subject.changed

    def _wait_for_answers(self) -> None:
        self._wait_for_look()
        held = self._subject.collection
        if held is not None and held.found is None and not self._wants and self._session.state != "error":
            self.play()
        self.wait()

    def _value(self, pane: str, row: int, column: int) -> str:
        return pair_text(self._scene().shown, row, column)

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        def picture() -> None:
            work = functools.partial(_pictured, content["id"], self._scene(), content["which"])
            self._find_out(work, self._on_picture)

        return super()._acts(content) | {"pause": self.pause, "picture": picture}

    def _on_picture(self, made: tuple[str, bytes]) -> None:
        identity, sent = made
        self.send({"type": "reply", "id": identity}, [sent])

    def _saved(self, suffix: str) -> bytes:
        if suffix == ".csv":
            return table(self.result)
        return super()._saved(suffix)


def _pictured(identity: str, scene: StatisticsScene, which: str) -> tuple[str, bytes]:
    made = scene.picture(which)
    return identity, made.sent if made else b""


def _nothing() -> None:
    """There is nothing to prepare."""
