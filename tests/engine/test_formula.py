"""Formulas: what each text says, where a mistake is pointed at, what could stand at the cursor, and back to text."""

import random
import time

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbvis.engine import (
    FormulaError,
    Objective,
    activity,
    as_formula,
    caricature,
    channel,
    complete,
    custom,
    direction,
    diversity,
    energy,
    formula,
    logit,
    unit,
)

LAYERS = {"layer3": 6, "layer4.0.conv1": 4, "_blocks.8._expand_conv": 4, "features.0": 4, "0": 4, "a-b c": 4, "relu": 4}
LABELS = ["tabby, tabby cat", "crane", "tiger cat", "7", "crane", "joker's [card]", "tiger"]


def seen(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: (3, count, 5, 6) for name, count in LAYERS.items()} | {"": (3, 7)}
    return {name: torch.randn(s, generator=generator, dtype=torch.float64) for name, s in shapes.items()}


SEEN = seen() | {"relu:1": seen(1)["relu"], "it's": seen(2)["0"], 'say "3"': seen(3)["0"], "logit": seen(4)["0"]}


@pytest.mark.parametrize(
    "text, said",
    [
        ("layer3[5]", channel("layer3", 5)),
        ("layer3[-1]", channel("layer3", -1)),
        ("layer3 [ 5 ]", channel("layer3", 5)),
        ("layer3[5, 4, 0]", unit("layer3", 5, 4, 0)),
        ("layer3[5, -1, -2]", unit("layer3", 5, -1, -2)),
        ("layer4.0.conv1[3]", channel("layer4.0.conv1", 3)),
        ("_blocks.8._expand_conv[3]", channel("_blocks.8._expand_conv", 3)),
        ("features.0[1]", channel("features.0", 1)),
        ("'0'[3]", channel("0", 3)),
        ('"a-b c"[3]', channel("a-b c", 3)),
        ("relu:1[2]", channel("relu:1", 2)),
        ("'relu:1'[2, 3, 4]", unit("relu:1", 2, 3, 4)),
        ("logit[2]", logit(2)),
        ("logit[-1]", logit(-1)),
        ("logit[tiger cat]", logit(2)),
        ("logit[ Tiger ]", logit(6)),
        ("logit[tabby cat]", logit(0)),
        ("logit['tabby, tabby cat']", logit(0)),
        ('logit["7"]', logit(3)),
        ('logit["joker\'s [card]"]', logit(5)),
        ("activity(layer3)", activity("layer3")),
        ("activity('0')", activity("0")),
        ("diversity(layer3)", diversity("layer3")),
        ("energy(layer3[3])", energy("layer3", 3)),
        ("unit(layer3[3])", unit("layer3", 3)),
        ("layer3[1] + 0.5*features.0[1] - logit[2]", channel("layer3", 1) + 0.5 * channel("features.0", 1) - logit(2)),
        ("-layer3[1]", -channel("layer3", 1)),
        ("--layer3[1]", channel("layer3", 1)),
        ("+layer3[1]*-2", -2 * channel("layer3", 1)),
        ("layer3[1]/4/2", channel("layer3", 1) / 8),
        ("2*3*layer3[1] - 1/4", 6 * channel("layer3", 1) - 0.25),
        ("1e1*layer3[1] + .5 + 2.", 10 * channel("layer3", 1) + 2.5),
        ("3 - (layer3[1] - 2)", 5 - channel("layer3", 1)),
        ("layer3[1]*logit[2]*logit[3]", channel("layer3", 1) * logit(2) * logit(3)),
        ("(layer3[1] + 1)*(logit[2] - logit[3])/2", (channel("layer3", 1) + 1) * (logit(2) - logit(3)) / 2),
        ("layer3[1]\n\t+ logit[2]", channel("layer3", 1) + logit(2)),
    ],
)
def test_a_formula_says_what_the_functions_do(text, said):
    for known in (None, LAYERS | {"": 7}):
        found = formula(text, known, LABELS)
        assert found.layers == said.layers
        assert torch.allclose(found.score(SEEN), said.score(SEEN), rtol=1e-12)


@pytest.mark.parametrize(
    "text, reason, place, length",
    [
        ("layre3[1]", "no layer 'layre3'; did you mean 'layer3'?", 0, 6),
        ("layer3[1] + 'x y'[1]", "no layer 'x y'; there are 'layer3', 'layer4.0.conv1', ", 12, 5),
        ("layer3[12]", "no channel 12: layer3 has 6, 0 to 5", 7, 2),
        ("layer3[-7, 1, 1]", "no channel -7: layer3 has 6, 0 to 5", 7, 2),
        ("energy(layer3[6])", "no channel 6: layer3 has 6", 14, 1),
        ("relu:1[9]", "no channel 9: relu:1 has 4", 7, 1),
        ("relux:1[9]", "no layer 'relux:1'; did you mean 'relu'?", 0, 7),
        ("layer3", "a channel is needed: layer3[0] is one, and activity(layer3) the whole layer", 0, 6),
        ("layer3(1)", "a channel goes in square brackets: layer3[0]", 6, 1),
        ("layer3[1.5]", "a channel is a whole number, not '1.5'", 7, 3),
        ("layer3[]", "a channel is a whole number, not ']'", 7, 1),
        ("layer3[1, 2]", "a row goes with a column: layer3[1, 2, 0]", 11, 1),
        ("layer3[1, 2, x]", "a column is a whole number, not 'x'", 13, 1),
        ("layer3[1, 2, 3, 4]", "a ] is missing", 14, 1),
        ("layer3[1", "a ] is missing", 8, 0),
        ("(layer3[1]", "a ) is missing", 10, 0),
        ("layer3[1])", ") has no place here", 9, 1),
        ("layer3[1] relu[2]", "an operator is missing before 'relu': + - * or /", 10, 4),
        ("layer3[1] @ 2", "an operator is missing before '@'", 10, 1),
        ("layer3[1] +", "a number or a bracket is needed, here the formula ends", 11, 0),
        ("layer3[1] * / 2", "a number or a bracket is needed, not '/'", 12, 1),
        ("", "here the formula ends", 0, 0),
        ("2 + 3", "a number alone has nothing to climb", 0, 5),
        ("layer3[1]/relu[1]", "divided by a number, not by an objective", 10, 4),
        ("layer3[1]/0", "divided by a number other than 0", 10, 1),
        ("layer3[1]/1e-320", "divided by a number other than 0", 10, 6),
        ("1/0*layer3[1]", "divided by a number other than 0", 2, 1),
        ("1e999*layer3[1]", "this number is too large", 0, 5),
        ("1e300*(1e300*layer3[1])", "this gives a number that is too large", 5, 1),
        ("0[3]", "a layer's name that begins with a digit goes in quotes: '0'[0]", 0, 1),
        ("1 + 0.conv[3]", "goes in quotes: '0.conv'[0]", 4, 6),
        ("'layer3[1]", "the quote is not closed: ' is missing", 0, 10),
        ("actvity(layer3)", "no function 'actvity'; did you mean 'activity'", 0, 7),
        ("activity(layer3[1])", "a ) is missing: activity takes a whole layer", 15, 1),
        ("energy(layer3)", "energy takes a channel, as energy(layer3[0])", 13, 1),
        ("activity(3)", "activity takes a layer, as activity(layer)", 9, 1),
        ("activity(nowhere)", "no layer 'nowhere'", 9, 7),
        ("logit(3)", "the class goes in square brackets: logit[0]", 5, 1),
        ("logit", "the class goes in square brackets: logit[0]", 5, 0),
        ("logit[]", "a class is needed, by its number or label", 6, 0),
        ("logit[7]", "no class 7: there are 7, 0 to 6", 6, 1),
        ("logit[99999999999999999999]", "no class 99999999999999999999", 6, 20),
        ("logit[tigre]", "no class 'tigre'; did you mean 'tiger'", 6, 5),
        ("logit[ crane]", "'crane' names 2 classes: give the number, 1 or 4", 7, 5),
        ("logit['tiger]", "the quote is not closed", 6, 7),
    ],
)
def test_an_error_points_at_the_character(text, reason, place, length):
    with pytest.raises(FormulaError) as caught:
        formula(text, LAYERS, LABELS)
    error = caught.value
    assert reason in error.reason and (error.position, error.length) == (place, length)
    said, shown, carets = str(error).split("\n")
    assert said == error.reason and shown == f"    {text}" and carets == f"    {' ' * place}{'^' * max(1, length)}"


def test_without_labels_a_label_asks_for_the_number():
    with pytest.raises(FormulaError, match="no class 'tabby': the network has no labels, so give its number, as logit"):
        formula("logit[tabby]")


def test_of_a_long_text_the_part_around_the_mistake_is_shown():
    text = " + ".join(["layer3[1]"] * 200)
    text = f"{text[:900]}?{text[900:]}\n\n"
    with pytest.raises(FormulaError) as caught:
        formula(text)
    _, shown, carets = str(caught.value).split("\n")
    assert len(shown) < 100 and shown[carets.index("^")] == "?" and carets.strip() == "^"
    assert shown.strip().startswith("…") and shown.endswith("…")


def test_what_is_too_long_or_too_deep_is_refused():
    assert len(formula("+".join(["layer3[1]"] * 900)).terms) == 900
    with pytest.raises(FormulaError, match="at most 10000 characters"):
        formula("+".join(["layer3[1]"] * 1001))
    for text, reason in (("(" * 5000, "brackets go at most"), ("a[0]*" * 1999 + "a[0]", "at most 50 products")):
        with pytest.raises(FormulaError, match=reason):
            formula(text)
    deep = f"{'(' * 50}layer3[1]*{'*'.join(['layer3[1]'] * 50)}{')' * 50}"
    assert torch.isfinite(formula(deep).score(SEEN)).all()
    assert formula("-" * 9000 + "layer3[1]").score(SEEN).shape == (3,)
    with pytest.raises(TypeError):
        formula(None)


# Any text.

PIECES = [
    *"+-*/()[],.'\"0123e :\n@π²",
    "layer3",
    "logit",
    "logit[",
    "activity(",
    "energy(",
    "[1]",
    "tabby",
    "1e9",
    "'0'",
]


@settings(max_examples=1500)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
@example("logit[" + "9" * 6000 + "]")
@example("layer3[" + "9" * 6000 + "]")
@example("9" * 6000)
@example("layer3[²]")
@example("layer3[٣]")
@example("logit[٣]")
@example("logit[²]")
@example("'" * 9999)
@example("(-" * 4000)
@example("\x00\ud800")
def test_any_text_is_a_formula_or_points_at_a_character(text):
    for layers, labels in ((None, None), (LAYERS, LABELS)):
        began = time.process_time()
        try:
            assert isinstance(formula(text, layers, labels), Objective)
        except FormulaError as error:
            assert 0 <= error.position <= len(text) and error.length >= 0 and error.position + error.length <= len(text)
            assert len(str(error).split("\n")) == 3
        assert time.process_time() - began < 1


@settings(max_examples=500)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)), st.integers(-2, 60))
def test_at_any_cursor_of_any_text_there_are_completions(text, cursor):
    found = complete(text, cursor, LAYERS, LABELS)
    assert 0 <= found.start <= min(max(cursor, 0), len(text)) <= found.end <= len(text)


# Any expression, written as text and made by the functions.

indexes = st.integers(-4, 3)
layer_names = st.sampled_from([name for name in SEEN if name])


def quoted(name):
    plain = name not in ("0", "a-b c", "it's", 'say "3"', "logit")
    return name if plain else f'"{name}"' if '"' not in name else f"'{name}'"


leaves = st.one_of(
    st.builds(lambda n, i: (f"{quoted(n)}[{i}]", channel(n, i), 9), layer_names, indexes),
    st.builds(lambda n, i, r, c: (f"{quoted(n)}[{i},{r},{c}]", unit(n, i, r, c), 9), layer_names, *[indexes] * 3),
    st.builds(lambda n, i: (f"energy({quoted(n)}[{i}])", energy(n, i), 9), layer_names, indexes),
    st.builds(lambda n, i: (f"unit({quoted(n)}[{i}])", unit(n, i), 9), layer_names, indexes),
    st.builds(lambda n: (f"activity({quoted(n)})", activity(n), 9), layer_names),
    st.builds(lambda n: (f"diversity({quoted(n)})", diversity(n), 9), layer_names),
    st.builds(lambda i: (f"logit[{i}]", logit(i), 9), indexes),
)
numbers = st.floats(1e-6, 1e6)


def joined(left, sign, right):
    """Two parts with an operator between them, in brackets where these are needed."""
    (one, a, binds), (other, b, others) = left, right
    own = 1 if sign in "+-" else 2
    one, other = one if binds >= own else f"({one})", other if others > own else f"( {other})"
    made = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[sign]()
    return f"{one}{sign}{other}", made, own


expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(joined, inner, st.sampled_from("+-*"), inner),
        st.builds(lambda x, sign, n: joined(x, sign, (repr(n), n, 9)), inner, st.sampled_from("+-*/"), numbers),
        st.builds(lambda n, sign, x: joined((repr(n), n, 9), sign, x), numbers, st.sampled_from("+-*"), inner),
        inner.map(lambda x: (f"-{x[0]}" if x[2] > 2 else f"-({x[0]})", -x[1], 3)),
    ),
    max_leaves=8,
)


@settings(max_examples=400)
@given(expressions)
def test_the_text_of_any_expression_gives_the_scores_of_the_functions(made):
    text, objective, _ = made
    assert torch.equal(formula(text).score(SEEN), objective.score(SEEN))


@settings(max_examples=400)
@given(expressions)
def test_any_such_objective_goes_to_text_and_back_to_the_bit(made):
    _, objective, _ = made
    text = as_formula(objective)
    assert text is not None
    again = formula(text)
    assert again.layers == objective.layers and as_formula(again) == text
    scores, found = ([t.weight * t.function(SEEN) for t in each.terms] for each in (objective, again))
    assert all(torch.equal(a, b) for a, b in zip(scores, found, strict=True)) or len(scores) == 1
    assert torch.allclose(again.score(SEEN), objective.score(SEEN), rtol=1e-9)


@pytest.mark.parametrize(
    "objective",
    [
        logit(1).within(torch.ones(2, 2)),
        logit(1) + custom(lambda a: a.sum(1), ""),
        direction("layer3", [1.0, 2.0]),
        logit(1) * caricature("layer3", torch.rand(1, 3, 4, 4)),
        unit("layer3", 1, 2),
        channel("both ' and \"", 1),
    ],
    ids=str,
)
def test_what_no_formula_can_say_has_none(objective):
    assert as_formula(objective) is None


def test_a_formula_reads_like_what_was_typed():
    for text in (
        "layer3[12] + 0.5 * layer4[7] - logit[207]",
        "-layer3[1] - (logit[1] + 1) * (logit[2] * logit[3])",
        "'0'[3] + \"it's\"[2, 1, 0] + 'logit'[1] - energy(conv:1[3])",
    ):
        assert as_formula(formula(text)) == text


def test_a_sum_of_a_thousand_has_a_text():
    objective = sum((channel("layer3", k) for k in range(1, 1000)), channel("layer3", 0))
    assert as_formula(objective) == " + ".join(f"layer3[{k}]" for k in range(1000))


# Completions: the text before and after the cursor, which is "|".


def at(marked, layers=LAYERS, labels=LABELS):
    text, cursor = marked.replace("|", ""), marked.index("|")
    found = complete(text, cursor, layers, labels)
    return text[found.start : found.end], list(found.candidates)


FUNCTIONS = ["activity(", "diversity(", "energy(", "unit(", "logit["]
NAMES = ["layer3", "layer4.0.conv1", "_blocks.8._expand_conv", "features.0", "'0'", "'a-b c'", "relu"]


@pytest.mark.parametrize(
    "marked, replaced, candidates",
    [
        ("|", "", NAMES + FUNCTIONS),
        ("layer3[1] + |", "", NAMES + FUNCTIONS),
        ("layer3[1] + lay|", "lay", ["layer3", "layer4.0.conv1"]),
        ("layer3[1] + lay|er4 - 2", "layer4", ["layer3", "layer4.0.conv1"]),
        ("conv|", "conv", ["layer4.0.conv1", "_blocks.8._expand_conv"]),
        ("lyr|[3]", "lyr", ["layer3", "layer4.0.conv1"]),
        ("RELU|", "RELU", ["relu"]),
        ("'|", "'", NAMES),
        ("'0|", "'0", ["'0'", "features.0", "layer4.0.conv1"]),
        ("2*'a-b|'[3]", "'a-b'", ["'a-b c'"]),
        ("act|", "act", ["activity("]),
        ("act|(layer3)", "act", []),
        ("activity(|", "", NAMES),
        ("activity(fe|", "fe", ["features.0"]),
        ("(fe|", "fe", ["features.0"]),
        ("log|", "log", ["logit["]),
        ("layer3|", "layer3", ["layer3"]),
        ("layer3[|", "", []),
        ("layer3[1|] + relu[2]", "", []),
        ("layer3[1] |", "", []),
        ("(layer3[1])|", "", []),
        ("2|", "", []),
        ("layer3[1] lay|", "", []),
        ("logit[ti|", "ti", ["tiger", "tiger cat"]),
        ("logit[ti|ger cat] + 2", "tiger cat", ["tiger", "tiger cat"]),
        ("logit['ti|", "'ti", ["tiger", "tiger cat"]),
        ("logit['ti|' + 2", "'ti'", ["tiger", "tiger cat"]),
        ("logit[cat|", "cat", ["tiger cat", "tabby, tabby cat"]),
        ("logit[7|", "7", ["'7'"]),
        ("logit[jok|]", "jok", ['"joker\'s [card]"']),
        ("logit[|]", "", ["tabby, tabby cat", "crane", "tiger cat", "'7'", '"joker\'s [card]"', "tiger"]),
        ("logit[2] + logit[cra|]", "cra", ["crane"]),
    ],
)
def test_completions(marked, replaced, candidates):
    assert at(marked) == (replaced, candidates)


@pytest.mark.parametrize(
    "marked", ["|", "layer3[1] - con|", "2*'a|", "activity(re|)", "logit[ti|", "logit[7|", "lay|[2]"]
)
def test_each_candidate_makes_a_formula(marked):
    text, cursor = marked.replace("|", ""), marked.index("|")
    found = complete(text, cursor, LAYERS, LABELS)
    assert found.candidates
    for candidate in found.candidates:
        now = text[: found.start] + candidate + text[found.end :]
        endings = ["", "[1]", "]", ")", "layer3)", "layer3[1])", "1]"]
        assert any(parses(now + ending) for ending in endings), now


def parses(text):
    try:
        formula(text, LAYERS, ["crane", *LABELS[2:4], *LABELS[5:]])
    except FormulaError:
        return False
    return True


def test_two_thousand_names_are_searched_at_once():
    draw = random.Random(0)
    names = [
        ".".join(draw.choice(["layer", "conv", "bn", "block"]) + str(k % 9) for _ in range(4)) for k in range(2000)
    ]
    began = time.process_time()
    assert complete("layer3[1] + cnv", 15, dict.fromkeys(names)).candidates
    assert time.process_time() - began < 0.1
