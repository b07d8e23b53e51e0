"""Addresses on the Hub, as people and as ``huggingface_hub`` spell them."""

from __future__ import annotations

import pytest
from huggingface_hub.utils import parse_hf_uri

from lora_convert.errors import CheckpointNotFoundError
from lora_convert.storage.hub_address import HubAddress, parsed
from lora_convert.storage.places import is_root

SPELLINGS = {
    "hf://you/shoes": ("main", ""),
    "hf://you/shoes/": ("main", ""),
    "hf://models/you/shoes/a.safetensors": ("main", "a.safetensors"),
    "hf://you/shoes@v1": ("v1", ""),
    "hf://you/shoes@v1/sub/a.bin": ("v1", "sub/a.bin"),
    "hf://you/shoes/sub/a.bin@v1": ("v1", "sub/a.bin"),
    "hf://you/shoes@refs/pr/12/a.bin": ("refs/pr/12", "a.bin"),
    "hf://you/shoes/a.bin@refs/pr/12": ("refs/pr/12", "a.bin"),
    "hf://you/shoes@next%2Fstep/a.bin": ("next/step", "a.bin"),
    "hf://you/shoes/a.bin@next/step": ("next/step", "a.bin"),
    "hf://you/shoes/me@home.safetensors": ("main", "me@home.safetensors"),
    "hf://you/shoes/me@home.safetensors@v1": ("v1", "me@home.safetensors"),
}


@pytest.mark.parametrize("address", SPELLINGS)
def test_an_address_is_taken_apart_and_put_together(address: str) -> None:
    revision, path = SPELLINGS[address]
    found = parsed(address)
    assert found == HubAddress("you/shoes", revision, path)
    assert parsed(str(found)) == found
    assert is_root(address) == (not path)


@pytest.mark.parametrize("address", SPELLINGS)
def test_the_client_reads_what_is_put_together(address: str) -> None:
    found = parsed(address)
    theirs = parse_hf_uri(str(found))
    assert (theirs.id, theirs.revision or "main", theirs.path_in_repo) == tuple(found)


@pytest.mark.parametrize("address", ["hf://", "hf://you", "hf://spaces/you/shoes", "hf://a b/c"])
def test_what_is_none_is_refused(address: str) -> None:
    with pytest.raises(CheckpointNotFoundError):
        parsed(address)
