"""This process takes the double for the Hub: for the documentation, whose commands run in one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from lora_convert.storage import hub as ours
from lora_convert.storage import remote
from tests.hub.endpoint import Endpoint


@contextmanager
def served(home: str) -> Iterator[Endpoint]:
    """An endpoint that the client in this process asks, with its cache in `home`.

    The client reads its variables when it is imported, so what it made of them is replaced.
    """
    endpoint = Endpoint()
    said = {
        "ENDPOINT": endpoint.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": os.path.join(home, "hub"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
    }
    variables = {"HF_TOKEN": endpoint.token, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    try:
        with (
            mock.patch.multiple("huggingface_hub.constants", **said),
            mock.patch.dict(os.environ, variables),
        ):
            yield endpoint
    finally:
        ours._names.cache_clear()
        remote._remote_file.cache_clear()
        endpoint.close()
