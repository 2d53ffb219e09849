"""The JavaScript and the Python speak of the same things by the same names."""

import re
from inspect import getsource
from pathlib import Path

from ipywidgets import DOMWidget

from nbvis.widgets import base

ROOT = Path(__file__).parents[2]
WIDGET = (ROOT / "js/dream_canvas.js").read_text(encoding="utf-8")
SHARED = (ROOT / "js/shared.js").read_text(encoding="utf-8")


def names_in(source, *patterns):
    """The quoted names in what the patterns find."""
    return {
        name for pattern in patterns for found in re.findall(pattern, source) for name in re.findall(r'"(\w+)"', found)
    }


def test_every_trait_that_the_front_end_names_exists_and_is_synced(make):
    canvas = make()
    named = names_in(WIDGET + SHARED, r"model\.[gs]et\([^)]*\)", r"follow\(model, signal, \[[^\]]*\]")
    assert len(named) > 10 and named <= set(canvas.keys)


def test_the_sliders_are_the_numbers(make):
    (listed,) = re.findall(r"const SLIDERS = \[([^\]]+)\]", WIDGET)
    assert set(re.findall(r'"(\w+)"', listed)) == set(make()._controls)


def test_a_control_has_what_the_front_end_reads(make):
    (fields,) = re.findall(r"@typedef \{\{[\s*]*(label[^}]+)\}\} Control", SHARED)
    for control in make()._controls.values():
        assert set(control) == set(re.findall(r"(\w+):", fields))


def test_a_frame_has_what_the_front_end_reads(make, heard):
    canvas = make()
    messages = heard(canvas)
    canvas._on_message(canvas, {"type": "joined", "view": "a", "lab": True}, [])
    (fields,) = re.findall(r'type: "frame",([^}]+)\}\} Header', SHARED)
    assert set(messages[0][0]) == {"type", *re.findall(r"(\w+):", fields)}


def test_every_message_of_the_front_end_is_answered():
    sent = names_in(WIDGET + SHARED, r'(?:tell|ask)\(model, \{ type: "\w+"') - {"type"}
    handled = set(re.findall(r'"(\w+)"', getsource(base.Widget._on_message)))
    assert {"joined", "left", "drawn", "step", "restart", "recipe", "save"} <= sent
    assert sent <= handled


def test_messages_are_documented():
    for name in ("joined", "left", "drawn", "step", "restart", "recipe", "save", "frame", "reply"):
        assert name in (base.__doc__ or "")


def test_every_public_trait_says_what_it_is(make):
    theirs = set(DOMWidget.class_trait_names())
    ours = {name: trait for name, trait in make().traits(sync=True).items() if name[0] != "_" and name not in theirs}
    assert {"layer", "channel", "lr", "running"} <= set(ours)
    assert [name for name, trait in ours.items() if not trait.help] == []


def test_data_never_becomes_markup():
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", WIDGET + SHARED)
