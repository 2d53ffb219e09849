"""What every docstring example may use without importing it."""

import pytest


@pytest.fixture(autouse=True)
def _names_for_examples(doctest_namespace):
    import torch

    import nbvis.engine

    torch.manual_seed(0)
    doctest_namespace.update({name: getattr(nbvis.engine, name) for name in nbvis.engine.__all__})
    doctest_namespace.update(torch=torch, nn=torch.nn)
