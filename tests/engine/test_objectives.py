"""Objectives: what each scores, their arithmetic, their text, and what they refuse."""

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nbvis.engine import Objective, activity, channel, custom, logit, unit
from nbvis.engine.ascent.backward_passes import backward_passes
from nbvis.engine.ascent.objective_source import Names


def acts(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "a": torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64),
        "b.0": torch.randn(3, 2, generator=generator, dtype=torch.float64),
        "": torch.randn(3, 7, generator=generator, dtype=torch.float64),
    }


SEEN = acts()
A, B, OUT = SEEN["a"], SEEN["b.0"], SEEN[""]
MASK = torch.zeros(4, 6)
MASK[1:3, 2:5] = 0.5


@pytest.mark.parametrize(
    "objective, expected, layers",
    [
        (channel("a", 2), A[:, 2].mean((1, 2)), ("a",)),
        (channel("a", -1), A[:, 3].mean((1, 2)), ("a",)),
        (channel("b.0", 1), B[:, 1], ("b.0",)),
        (unit("a", 1), A[:, 1, 2, 3], ("a",)),
        (unit("a", 1, 4), A[:, 1, 4, 3], ("a",)),
        (unit("a", 1, column=0), A[:, 1, 2, 0], ("a",)),
        (unit("a", 1, 0, -1), A[:, 1, 0, 5], ("a",)),
        (logit(6), OUT[:, 6], ("",)),
        (activity("a"), A.square().mean((1, 2, 3)), ("a",)),
        (custom(lambda a, b: a.amax((1, 2, 3)) - b[:, 0], "a", "b.0"), A.amax((1, 2, 3)) - B[:, 0], ("a", "b.0")),
        (channel("a", 0) + logit(1) + channel("a", 1), A[:, :2].mean((2, 3)).sum(1) + OUT[:, 1], ("a", "")),
        (logit(1) - logit(2), OUT[:, 1] - OUT[:, 2], ("",)),
        (-logit(1), -OUT[:, 1], ("",)),
        (3 * logit(1) * 2, 6 * OUT[:, 1], ("",)),
        (logit(1) / 4, OUT[:, 1] / 4, ("",)),
        (logit(1) + 2, OUT[:, 1] + 2, ("",)),
        (2 - logit(1), 2 - OUT[:, 1], ("",)),
        (logit(1) - 2.5, OUT[:, 1] - 2.5, ("",)),
        (sum([logit(1), logit(2)]), OUT[:, 1] + OUT[:, 2], ("",)),
        (logit(1) * channel("b.0", 0), OUT[:, 1] * B[:, 0], ("", "b.0")),
        ((logit(1) + 1) * -logit(2), -(OUT[:, 1] + 1) * OUT[:, 2], ("",)),
        (-(logit(1) * logit(2)) * 3 - 1, -3 * OUT[:, 1] * OUT[:, 2] - 1, ("",)),
        (logit(1).within(MASK) + 2 * logit(2), OUT[:, 1] + 2 * OUT[:, 2], ("",)),
    ],
    ids=str,
)
def test_scores(objective, expected, layers):
    assert isinstance(objective, Objective)
    assert torch.allclose(objective.score(SEEN), expected, rtol=1e-12) and objective.layers == layers
    if "custom" in str(objective):
        return
    again = eval(str(objective), {"channel": channel, "unit": unit, "logit": logit, "activity": activity, "mask": MASK})
    assert torch.equal(again.score(SEEN), objective.score(SEEN)) and again.layers == objective.layers
    assert str(again) == str(objective) == repr(objective)


numbers = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
leaves = [channel("a", 1), unit("a", 0, 1, 2), logit(3), activity("a"), channel("b.0", 0)]
leaves += [custom(lambda a: a.flatten(1).std(1), "a"), custom(lambda a: a.flatten(1).sum(1), "")]
MASKS = [MASK, MASK / 2, torch.rand(4, 6, generator=torch.Generator().manual_seed(0)), (MASK > 0).double()]


def masked(objective: Objective, mask: torch.Tensor) -> Objective:
    try:
        return objective.within(mask)
    except ValueError:  # two masks that exclude each other
        return objective


def product(left: Objective, right: Objective) -> Objective:
    return left + right if any(t.mask is not None for t in left.terms + right.terms) else left * right


expressions = st.recursive(
    st.sampled_from(leaves),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] + two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] - two[1]),
        st.tuples(inner, inner).map(lambda two: product(*two)),
        st.tuples(numbers, inner).map(lambda two: two[0] * two[1]),
        st.tuples(inner, numbers).map(lambda two: two[0] - two[1]),
        st.tuples(inner, st.sampled_from(MASKS)).map(lambda two: masked(*two)),
        inner.map(lambda one: -one),
        inner.map(lambda one: one + leaves[0] + one),
    ),
    max_leaves=8,
)


def parts(objective: Objective) -> list[tuple[torch.Tensor | None, torch.Tensor]]:
    """Of each backward pass its mask and its scores without constants, in order: all that a gradient depends on."""
    passes = backward_passes([objective], (4, 6), MASK.device, torch.float64)
    moving = [(mask, tuple(term for term in part.terms if term.layers)) for mask, (part,) in passes if part]
    return [(mask, Objective(terms).score(SEEN)) for mask, terms in moving]


@settings(max_examples=300, deadline=None)
@given(expressions)
def test_the_source_of_any_expression_says_the_same_to_the_bit(objective):
    names = Names(taken=["channel"])
    source = objective.source(names)
    scope = {"channel": channel, "unit": unit, "logit": logit, "activity": activity, "custom": custom}
    again = eval(source, scope | names.masks | names.functions)
    assert again.layers == objective.layers and str(again) == str(objective)
    mine, its = parts(objective), parts(again)
    assert len(mine) == len(its)
    for (mask, score), (other, found) in zip(mine, its, strict=True):
        assert torch.equal(score, found) and (mask is None) == (other is None)
        assert mask is None or other is None or torch.equal(mask, other)
    assert torch.allclose(again.score(SEEN), objective.score(SEEN), rtol=1e-9, atol=1e-9)


def test_masks_and_functions_have_a_name_each():
    def contrast(a):
        return a.flatten(1).std(1)

    names = Names(taken=["energy"])
    objective = custom(contrast, "a") + custom(lambda a: a.flatten(1).sum(1), "a").within(MASK)
    objective += custom(contrast, "b.0").within(MASK / 2) - logit(1).within(MASK.clone())
    assert objective.source(names) == (
        "custom(contrast, 'a') + custom(function, 'a').within(mask) + custom(contrast, 'b.0').within(mask_2)"
        " - logit(1).within(mask)"
    )
    assert [*names.masks, *names.functions] == ["mask", "mask_2", "contrast", "function"]
    contrast.__name__ = "energy"
    assert custom(contrast, "a").source(Names(taken=["energy"])) == "custom(energy_2, 'a')"
    contrast.__name__ = "lambda"
    assert str(custom(contrast, "a")) == "custom(function, 'a')"


def test_what_shares_a_mask_is_written_within_one():
    both = (logit(1) + 2 * logit(2)).within(MASK)
    assert str(both) == "(logit(1) + 2 * logit(2)).within(mask)"
    assert str(logit(1).within(MASK) + logit(2).within(MASK)) == "logit(1).within(mask) + logit(2).within(mask)"
    assert str((both - logit(3)).within(MASK / 2)) == (
        "((logit(1) + 2 * logit(2)).within(mask) - logit(3)).within(mask_2)"
    )


def test_the_text_reads_like_what_was_written():
    assert str(channel("blocks.9", 3) + 0.5 * activity("stem")) == "channel('blocks.9', 3) + 0.5 * activity('stem')"
    assert str(-unit("a", 1, 2, 3) / 2 - logit(5)) == "-0.5 * unit('a', 1, 2, 3) - logit(5)"
    assert str((logit(1) + 2) * logit(3)) == "(logit(1) + 2) * logit(3)"
    assert str(logit(1).within(MASK) - 2 * logit(2)) == "logit(1).within(mask) - 2 * logit(2)"
    assert str((logit(1) * logit(2)).within(MASK)) == "(logit(1) * logit(2)).within(mask)"


def test_a_product_has_the_gradient_of_a_product():
    output = OUT.clone().requires_grad_()
    (logit(1) * logit(2)).score({"": output}).sum().backward()
    assert output.grad is not None
    assert torch.equal(output.grad[:, 1], OUT[:, 2]) and torch.equal(output.grad[:, 2], OUT[:, 1])


def masks(objective: Objective) -> list[Any]:
    return [term.mask for term in objective.terms]


def test_masks_are_checked_copied_and_multiplied():
    mask, array = MASK.clone(), cast(Any, MASK.cpu().numpy())
    objective = (logit(1) + logit(2)).within(mask)
    mask.zero_()
    assert all(torch.equal(found, MASK) for found in masks(objective))
    assert masks(objective)[0] is masks(objective)[1]  # one mask, so one gradient
    both = objective.within(torch.full((4, 6), 0.5))
    assert all(torch.equal(found, MASK / 2) for found in masks(both)) and masks(both)[0] is masks(both)[1]
    assert masks(logit(1).within(torch.ones(2, 3, dtype=torch.bool)))[0].dtype == torch.float32
    assert masks(logit(1).within(array))[0].shape == (4, 6)


@pytest.mark.parametrize(
    "mask, message",
    [
        (torch.zeros(4, 6), "0 everywhere"),
        (torch.zeros(0, 6), r"\(0, 6\)"),
        (torch.ones(1, 4, 6), r"\(height, width\), not \(1, 4, 6\)"),
        (torch.full((4, 6), 255, dtype=torch.uint8), r"lies in \[0, 1\]; this one goes from 255 to 255"),
        (torch.full((4, 6), -0.1), "from -0.1 to -0.1"),
        (torch.full((4, 6), float("nan")), "nan"),
        (torch.full((4, 6), float("inf")), "inf"),
        ("left half", "mask"),
        (None, "mask"),
    ],
)
def test_impossible_masks_are_refused(mask, message):
    with pytest.raises((ValueError, TypeError), match=message):
        logit(1).within(mask)


def test_masks_that_exclude_each_other_or_differ_in_size_are_refused():
    with pytest.raises(ValueError, match="0 everywhere"):
        logit(1).within(MASK).within((MASK == 0).float())
    with pytest.raises(ValueError, match=r"\(4, 6\).*\(4, 5\)"):
        logit(1).within(MASK).within(torch.ones(4, 5))
    with pytest.raises(ValueError, match=r"a product has one gradient.*\(a \* b\).within\(mask\)"):
        _ = logit(1).within(MASK) * logit(2)


@pytest.mark.parametrize(
    "objective, message",
    [
        (channel("a", 4), "no channel 4: layer 'a' has 4, 0 to 3"),
        (channel("a", -5), "no channel -5"),
        (unit("b.0", 0), r"layer 'b.0' has shape \(3, 2\), without rows and columns: use channel"),
        (unit("a", 0, 5), r"5 × 6 positions, so there is none at \(5, 3\)"),
        (unit("a", 0, 0, -7), r"none at \(0, -7\)"),
        (logit(7), "no class 7: the network has 7, 0 to 6"),
        (custom(lambda a: a.mean(), "a"), r"<lambda> must return one score for each image, shape \(3,\), not \(\)"),
    ],
    ids=str,
)
def test_what_a_layer_does_not_have_is_named(objective, message):
    with pytest.raises(ValueError, match=message):
        objective.score(SEEN)


def test_a_score_that_is_no_tensor_is_named():
    def number(activation) -> Any:
        return 1.0

    with pytest.raises(ValueError, match=r"number must return one score for each image, shape \(3,\), not float"):
        custom(number, "a").score(SEEN)


def test_an_output_that_is_no_list_of_classes_is_named():
    with pytest.raises(ValueError, match=r"output has shape \(3, 4, 5, 6\), not \(batch, classes\)"):
        logit(0).score({"": A})


def test_what_is_no_number_is_refused():
    wrong: Any
    for wrong in ("2", None, True, float("nan"), float("inf"), torch.ones(2)):
        with pytest.raises(TypeError, match="finite numbers"):
            _ = logit(1) + wrong
        with pytest.raises(TypeError, match="finite numbers"):
            _ = logit(1) * wrong
    with pytest.raises(ZeroDivisionError):
        _ = logit(1) / 0
    for wrong in (1.5, "1", None, True):
        with pytest.raises(TypeError, match="whole number"):
            channel("a", wrong)
        with pytest.raises(TypeError, match="whole number"):
            logit(wrong)
    with pytest.raises(TypeError, match="whole number"):
        unit("a", 1, 1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="at least one layer"):
        custom(lambda: torch.ones(1))
