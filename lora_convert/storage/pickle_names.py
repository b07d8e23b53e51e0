"""What a pickle may name.

A pickle builds objects by calling what it names. Here nothing named is ever called or imported: each
name on this list has a rule that makes a plain value, or an inert record, of its arguments. A name that
is not on the list is refused.
"""

from __future__ import annotations

import struct
from typing import Any

from lora_convert.storage.pickled import (
    DTYPES,
    STORAGES,
    MalformedError,
    Named,
    Record,
    Rule,
    defaults,
    inert,
    items_of,
    mapping,
    member,
    number,
    parameter,
    tensor,
    tensor_of_dtype,
    text_as_bytes,
)


def _with_attributes(rebuild: Named, kind: Named, arguments: tuple[Any, ...], state: object) -> Any:
    if rebuild.path not in _REBUILDING or kind.path not in {*_TENSOR_CLASSES, _BUFFER}:
        raise MalformedError(f"a tensor is to be rebuilt as {kind.path[:80]}")
    return _REBUILDING[rebuild.path](*arguments)


_TENSOR_CLASSES = ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter")
_BUFFER = "torch.nn.parameter.Buffer"
_REBUILDING: dict[str, Rule] = {
    "torch._utils._rebuild_tensor": tensor,
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_tensor_v3": tensor_of_dtype,
    "torch._utils._rebuild_parameter": parameter,
    "torch._utils._rebuild_parameter_with_state": parameter,
}
_DICTS = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "easydict.EasyDict",
    "munch.Munch",
    "yacs.config.CfgNode",
)
"""Dicts under other names, in which trainers keep their hyper-parameters."""
_CONTAINERS: dict[str, Rule] = {
    "collections.OrderedDict": mapping,
    "collections.Counter": mapping,
    "collections.defaultdict": defaults,
    "collections.deque": lambda items=(), longest=None: items_of(items),
    "builtins.dict": mapping,
    "builtins.list": items_of,
    "builtins.set": items_of,
    "builtins.frozenset": items_of,
    "builtins.tuple": lambda items=(): tuple(items_of(items)),
    "torch.Size": lambda items=(): tuple(items_of(items)),
    **dict.fromkeys(_DICTS, mapping),
    "builtins.bytes": lambda: b"",
    "builtins.bytearray": lambda data=b"", encoding="latin1": (
        data if isinstance(data, bytes) else text_as_bytes(data, encoding)
    ),
    "_codecs.encode": text_as_bytes,
    "builtins.complex": lambda real=0.0, imaginary=0.0: Record("complex", (real, imaginary)),
}
_NUMPY: dict[str, Rule] = {
    "numpy.dtype": inert("numpy.dtype"),
    **{
        f"{module}.multiarray.{name}": rule
        for module in ("numpy.core", "numpy._core")
        for name, rule in (("scalar", number), ("_reconstruct", inert("numpy.ndarray")))
    },
    "numpy.core.numeric._frombuffer": inert("numpy.ndarray"),
    "numpy._core.numeric._frombuffer": inert("numpy.ndarray"),
}
_ENUMERATIONS = (
    "peft.utils.peft_types.PeftType",
    "peft.utils.peft_types.TaskType",
    "peft.utils.config.PeftType",
    "peft.utils.config.TaskType",
)
BY_NAME = "builtins.getattr"
"""How Python 3.11.0 to 3.11.3 pickles a member of an enumeration: by asking the class for its name."""
_PEFT_CONFIGS = (
    *("Lora", "LoraRuntime", "Velora", "LoftQ", "Arrow", "BdLora"),
    *("Eva", "Kasa", "Corda", "LoraGA", "Monteclora"),
)
_OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "WindowsPath", "PurePath")),
    *(f"pathlib.{kind}" for kind in ("PurePosixPath", "PureWindowsPath")),
    *(f"pathlib._local.{kind}" for kind in ("Path", "PosixPath", "WindowsPath")),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    "builtins.range",
    "builtins.slice",
    "decimal.Decimal",
    "uuid.UUID",
    *(f"omegaconf.{kind}" for kind in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean")),
    *(f"omegaconf.base.{kind}" for kind in ("ContainerMetadata", "Metadata")),
    "peft.tuners.lora.LoraConfig",
    *(f"peft.tuners.lora.config.{kind}Config" for kind in _PEFT_CONFIGS),
    "torch.device",
    "torch.serialization._get_layout",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch.torch_version.TorchVersion",
)
_MENTIONED = (
    *_TENSOR_CLASSES,
    _BUFFER,
    *(f"torch.{name}" for name in (*DTYPES, *STORAGES)),
    *(f"torch.storage.{name}" for name in ("UntypedStorage", "TypedStorage")),
    *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "object")),
    *(
        f"numpy.{name}"
        for name in ("ndarray", "bool", "bool_", "str_", "bytes_", "void", "object_")
    ),
    *(f"numpy.{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *(f"numpy.float{bits}" for bits in (16, 32, 64, 128)),
    *(f"numpy.complex{bits}" for bits in (64, 128)),
    "typing.Any",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
)
"""Names that stand for themselves: dtypes, classes given as arguments. Making one of them is refused."""

RULES: dict[str, Rule] = {
    **_REBUILDING,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    **_CONTAINERS,
    **_NUMPY,
    **{path: member(path) for path in _ENUMERATIONS},
    **{path: inert(path) for path in _OBJECTS},
}
"""By name: what makes the value."""

ALLOWED = frozenset((*RULES, *_MENTIONED))
"""Every name that a pickle may mention; besides, `BY_NAME` for what `is_member` says and nothing else."""


def is_member(arguments: Any) -> bool:
    """Whether arguments are an enumeration of PEFT's and a name in it, which is its value too."""
    if type(arguments) is not tuple or len(arguments) != 2:
        return False
    kind, name = arguments
    return (
        type(kind) is Named and kind.path in _ENUMERATIONS and type(name) is str and name.isupper()
    )


_OLD_NAMES = {"xrange": "range", "long": "int", "unicode": "str"}


def full_name(module: str, name: str) -> str:
    """Module and name as today's Python has them: protocol 2 writes Python 2's."""
    if module == "__builtin__":
        return f"builtins.{_OLD_NAMES.get(name, name)}"
    return f"{module}.{name}"


def made(path: str, arguments: Any) -> Any:
    """The value that stands for making `path` of `arguments`; MalformedError where it cannot be."""
    rule = RULES.get(path)
    if rule is None or type(arguments) is not tuple:
        raise MalformedError(f"{path[:80]} is to be made of something")
    try:
        return rule(*arguments)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise MalformedError(f"{path[:80]} is to be made of other things than it takes") from error
