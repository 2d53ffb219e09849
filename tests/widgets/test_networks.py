"""What the README says of networks is what is so."""

from pathlib import Path

import pytest

from tests.networks import NETWORKS, row, table

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_readme_says_what_is_shown_of_a_network(name):
    assert table([row(name)]).splitlines()[-1] in README


def test_the_readme_names_no_other_network():
    head, *_ = table([]).splitlines()
    lines = README.split(head)[1].splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[: lines.index("")]] == list(NETWORKS)
