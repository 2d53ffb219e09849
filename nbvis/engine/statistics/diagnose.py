"""What is wrong with a network, by the statistics of its layers: each finding with its rule, number and threshold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .rules import RULES, Finding, scales
from .statistics import Statistics


@dataclass(frozen=True)
class Diagnosis(Sequence[Finding]):
    """What is wrong with a network, in the order of its layers.

    Attributes:
        findings: the findings.
        notes: sentences on what could not be told.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def __getitem__(self, index):
        """One finding, or a slice of them."""
        return self.findings[index]

    def __len__(self) -> int:
        """How many findings."""
        return len(self.findings)

    def __str__(self) -> str:
        """The sentences, one a line."""
        return "\n".join([each.sentence for each in self.findings] or ["Nothing was found."])


def diagnose(statistics: Statistics) -> Diagnosis:
    """What is wrong with a network, told by the statistics of its layers over a data set.

    The rules, each with its threshold in `THRESHOLDS`:

    - dead channels: the share of a channel's values that are the same is 1, be it 0 or a bias; of 100 values at least.
    - inactive layer: the share of a layer's channels that are dead, if it has two at least.
    - saturated channels: the share of a channel's values at a bound of its activation function (6 for ReLU6); for one
      with two bounds (tanh, sigmoid), in the outer twentieth of its range at either end.
    - duplicate channels: the highest absolute correlation of two channels; those linked by such pairs make a group.
      A channel counts if it rises above its lowest value in enough images to fill its list of top images: of two that
      rise in the same one image, nothing follows.
    - low effective rank: the exponential of the entropy of the correlation matrix's eigenvalues, which is 1 where all
      channels are one and their number where they are independent. The threshold is a share of the channels that vary,
      or of the observations less one, if these are fewer, but not below 2; for a layer with 8 such channels at least.
    - exploding scale, vanishing scale: the spread of a layer with weights (the root of the mean variance of its
      channels) divided by that of the first one.

    A layer that hands on the values of an earlier one, such as a pool or a dropout, is named with that finding.

    Args:
        statistics: what `collect` gave; rules on how channels go together need its correlation.

    Returns:
        A `Diagnosis`, a sequence of `Finding`, with notes on what could not be told.

    Source:
        Roy and Vetterli 2007, "The effective rank: a measure of effective dimensionality", section 2.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with torch.no_grad():
        ...     _ = net[0].bias[2].fill_(-9)
        >>> found = diagnose(collect(net, torch.rand(40, 3, 8, 8).split(8)))
        >>> [(each.rule, each.layer, each.channels) for each in found if each.rule == "dead channels"]
        [('dead channels', '1', (2,))]
    """
    if not isinstance(statistics, Statistics):
        raise TypeError(f"diagnose takes what collect gave, a Statistics, not {type(statistics).__name__}")
    untold: dict[str, list[str]] = {}
    found: dict[str, list[Finding]] = {}
    first: dict[bytes, str] = {}
    wrong_scales = scales(statistics)
    for layer in statistics.values():
        own = [each for rule in RULES for each in rule(layer, statistics, untold)]
        own += [each for each in wrong_scales if each.layer == layer.name]
        # What a pool, a dropout or a block hands on has the same maxima in all channels.
        source = first.setdefault(layer.maximum.numpy().tobytes(), layer.name)
        found[layer.name] = own if source == layer.name else _new(own, found[source], layer.name)
    findings = tuple(each for several in found.values() for each in several)
    return Diagnosis(findings, tuple(f"{reason}: {_named(layers)}." for reason, layers in untold.items()))


def _new(own: list[Finding], before: list[Finding], layer: str) -> list[Finding]:
    """What is wrong with a layer alone; what was wrong with its values before is noted there."""
    known = {(each.rule, each.channels): k for k, each in enumerate(before)}
    for each in own:
        k = known.get((each.rule, each.channels))
        if k is not None:
            before[k] = replace(before[k], later=(*before[k].later, layer))
    return [each for each in own if (each.rule, each.channels) not in known]


def _named(layers: Sequence[str]) -> str:
    return ", ".join(layers[:5]) + (f" and {len(layers) - 5} more" if len(layers) > 5 else "")
