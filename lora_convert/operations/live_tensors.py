"""Torch's tensors as bytes of this process, and back; and the states of optimizers, as they are saved."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lora_convert.errors import NotExpressibleError
from lora_convert.planning import TensorFile
from lora_convert.storage.pickled import DTYPES
from lora_convert.storage.probe import blocks
from lora_convert.tensors.dtypes import BITS
from lora_convert.tensors.source import Source

if TYPE_CHECKING:
    from torch import Tensor

    from lora_convert.storage.memory import Memory
    from lora_convert.storage.probe import Read
    from lora_convert.tensors.expr import Expr

_TORCH_NAMES = {name: torch_name for torch_name, name in DTYPES.items()}
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_MAPPINGS = (Counter, OrderedDict)


def on_cpu(tensor: Tensor, *, copied: bool) -> Tensor:
    """A tensor's values on the CPU, in order; with `copied`, in memory of their own."""
    found = tensor.detach().to("cpu", copy=copied).contiguous()
    whole = found.untyped_storage().nbytes() == found.nbytes
    return found if whole else found.clone()  # else torch would save all that it is a part of


def tensor_file(name: str, tensors: Mapping[str, Tensor], memory: Memory) -> TensorFile:
    """Tensors on the CPU as a file to be written, whose bytes are read from `memory`."""
    planned: dict[str, Expr] = {}
    for key, tensor in tensors.items():
        dtype = DTYPES.get(str(tensor.dtype).removeprefix("torch."), "")
        if dtype not in BITS:
            raise NotExpressibleError(
                f"{key} is {tensor.dtype}, for which safetensors has no name",
                hint="save to a path that ends in .pth",
            )
        data = _as_bytes(tensor).numpy().data
        number = memory.add(key, data)
        planned[key] = Source(number, key, dtype, tuple(tensor.shape), 0, len(data))
    return TensorFile(name, planned, {"format": "pt"})


def _as_bytes(tensor: Tensor) -> Tensor:
    import torch

    return tensor.reshape(-1).view(torch.uint8)


def read_tensor(
    expr: Expr, read: Read, look: Callable[[bytes], None] = lambda block: None
) -> Tensor:
    """An expression's values on the CPU; `look` is shown each block of their bytes."""
    import torch

    dtype = getattr(torch, _TORCH_NAMES.get(expr.dtype, ""), None)
    if dtype is None:
        raise NotExpressibleError(
            f"torch has no dtype for {expr.dtype} tensors", hint="convert the file to fp32 first"
        )
    data = bytearray()
    for block in blocks(expr, read):
        look(block)
        data += block
    if not data:
        return torch.empty(expr.shape, dtype=dtype)
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(expr.shape)


def state_on_cpu(state: Any, name: str, *, copied: bool) -> Any:
    """A state's tree with its tensors on the CPU, of kinds that can be read back without running code.

    `name` is for the message of the NotExpressibleError where there are others.
    """
    import torch

    if isinstance(state, torch.Tensor):
        if type(state) not in {torch.Tensor, torch.nn.Parameter}:
            raise _unsafe(state, name)
        return on_cpu(state, copied=copied)
    if isinstance(state, Mapping):
        kind: type[dict[Any, Any]] = next((k for k in _MAPPINGS if isinstance(state, k)), dict)
        return kind(
            {
                key: state_on_cpu(value, f"{name}[{key!r}]", copied=copied)
                for key, value in state.items()
            }
        )
    if type(state) in {list, tuple, set}:
        return type(state)(state_on_cpu(value, name, copied=copied) for value in state)
    if type(state) in _PLAIN or isinstance(state, (torch.dtype, torch.device, torch.Size)):
        return state
    if hasattr(state, "item") and getattr(state, "ndim", 1) == 0:  # a scalar of numpy's
        return state.item()
    raise _unsafe(state, name)


def _unsafe(state: object, name: str) -> NotExpressibleError:
    return NotExpressibleError(
        f"{name} is a {type(state).__module__}.{type(state).__qualname__}",
        why="only tensors and plain values can be read back without running code",
        hint="leave it out of what is saved, or keep it as plain values",
    )
