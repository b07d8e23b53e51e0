"""The page of the library: public names, from their signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import lora_convert
from generation.markdown import page, summary, table


def library_page() -> str:
    """The public names, from their signatures and docstrings."""
    names = [name for name in lora_convert.__all__ if not name.startswith("_")]
    functions = [name for name in names if not inspect.isclass(getattr(lora_convert, name))]
    classes = [name for name in names if name not in functions]
    return page(
        "Library",
        "`import lora_convert as lc`: nothing heavy is imported until a name is used. Every error is a"
        " `lora_convert.errors.LoraConvertError`, see [errors](errors.md).",
        *(_function_section(name) for name in functions),
        *(_class_section(name) for name in classes),
    )


def _function_section(name: str) -> str:
    function = getattr(lora_convert, name)
    return f"## {name}\n\n{_signature(name, function)}\n\n{inspect.getdoc(function)}"


def _signature(name: str, function: Any) -> str:
    """The call as it is written, one argument a line."""
    lines = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        lines.append(f"{parameter.name}: {parameter.annotation}{default}")
    arguments = "".join(f"    {line},\n" for line in lines)
    return f"```text\n{name}(\n{arguments}) -> {inspect.signature(function).return_annotation}\n```"


def _class_section(name: str) -> str:
    kind = getattr(lora_convert, name)
    parts = [f"## {name}", inspect.getdoc(kind) or ""]
    documented = _attribute_docstrings(kind)
    fields = getattr(kind, "_fields", ())
    if fields:
        types = {
            name: getattr(found, "__forward_arg__", found)
            for name, found in kind.__annotations__.items()
        }
        rows = [(f"`{field}`", f"`{types[field]}`", documented.get(field, "")) for field in fields]
        parts.append(table(("field", "type", "meaning"), rows))
    members = [
        (member, value)
        for member, value in vars(kind).items()
        if not member.startswith("_")
        and member not in fields
        and (inspect.isfunction(value) or isinstance(value, property))
    ]
    listed = [
        (f"`{member}`" if isinstance(value, property) else f"`{member}()`", summary(value))
        for member, value in members
    ]
    if listed:
        parts.append(table(("member", "meaning"), listed))
    return "\n\n".join(parts)


def _attribute_docstrings(kind: type) -> dict[str, str]:
    """The strings under a class's fields, by field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found = {}
    if isinstance(body, ast.ClassDef):
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant))
            ):
                found[field.target.id] = str(text.value.value).replace("\n", " ")
    return found
