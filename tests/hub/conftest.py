"""A Hub of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub.endpoint import Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """The Hub's double, with one user and no repository."""
    hub = Endpoint()
    yield hub
    hub.close()
