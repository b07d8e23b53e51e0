"""Results as people read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lora_convert.cli._output import Output, size

if TYPE_CHECKING:
    from lora_convert.operations.applying import Result
    from lora_convert.operations.inspect import Inspection
    from lora_convert.operations.proving import Proof
    from lora_convert.operations.writing import ConversionPlan

_SHOWN = 5
_MOST_ITEMS = 20
_SOURCES = {
    "tensor": "the alpha beside each module",
    "header": "the file's metadata (lora_adapter_metadata)",
    "config": "a configuration",
    "payload": "the checkpoint's own configuration",
    "option": "an option",
    "assumed": "nothing: alpha = rank is assumed",
}


def show_inspection(out: Output, found: Inspection, *, names: bool, several: bool) -> None:
    """A table of what was found, and the keys as a tree if asked."""
    if out.quiet:
        out.line(brief(found))
    else:
        if several:
            out.line(found.path)
        out.table(_rows(found))
    if names:
        _show_tree(out, found.names)
    if several and not out.quiet:
        out.line()


def brief(found: Inspection) -> str:
    """What was found in few words."""
    return (
        f"{found.path}: {found.format or 'unknown'} {found.architecture or 'unknown'}"
        f" {found.explained}/{found.total}"
    )


def _rows(found: Inspection) -> list[tuple[str, str]]:
    rows = [
        ("file", f"{found.weights} ({size(found.bytes)}, {found.container})"),
        ("format", _format(found)),
        ("architecture", found.architecture or _fitting(found)),
        ("algorithms", _algorithms(found)),
        ("components", ", ".join(found.components) or "–"),
        ("modules", str(found.modules)),
        ("ranks", _counted(found.ranks)),
        ("scale", _scale(found)),
        ("dtypes", ", ".join(found.dtypes)),
        ("keys", _keys(found)),
        ("checksums", _checksums(found)),
    ]
    if any(found.adapters) and len(found.adapters) > 1:
        rows.append(("adapters", ", ".join(found.adapters)))
    if found.scale_problem:
        rows.append(("problem", found.scale_problem))
    others = found.candidates[1:]
    if others:
        rows.append(
            (
                "also fits",
                ", ".join(
                    f"{c.format}/{c.architecture or 'unknown'} ({c.explained})" for c in others
                ),
            )
        )
    rows += [("unexplained", key) for key in found.unexplained[:_SHOWN]]
    if len(found.unexplained) > _SHOWN:
        rows.append(("", f"and {len(found.unexplained) - _SHOWN} more"))
    if found.passed_over:
        rows.append(
            ("not read", ", ".join(os.path.basename(p) for p in found.passed_over[:_SHOWN]))
        )
    rows += [("payload", f"{key} = {_short(str(value))}") for key, value in _first(found.payload)]
    from lora_convert.operations.origins import PROVENANCE, first_origin

    was = first_origin(found.metadata)
    rows += [("first was", was)] if was else []
    told = {key: value for key, value in found.metadata.items() if not (was and key == PROVENANCE)}
    rows += [("metadata", f"{key} = {_short(value)}") for key, value in _first(told)]
    return rows + _health_rows(found)


def _format(found: Inspection) -> str:
    if found.format:
        return found.format
    return (
        f"none: {found.known_as}, not read by this version" if found.known_as else "none recognised"
    )


def _scale(found: Inspection) -> str:
    if not found.scale_source:
        return "–"
    if found.scales_not_read:
        rest = f"{found.scales_not_read} not read: they lie far apart, and --health fetches all"
        return f"{_counted(found.scales)}; {rest}" if found.scales else rest
    paths = f" ({', '.join(found.scale_paths)})" if found.scale_paths else ""
    return f"{_counted(found.scales)} from {_SOURCES[found.scale_source]}{paths}"


def _algorithms(found: Inspection) -> str:
    from lora_convert.algorithms import FOREIGN

    names = (
        f"{FOREIGN[name].title}: recognised, not converted" if name in FOREIGN else name
        for name in found.algorithms
    )
    return ", ".join(names) or "–"


def _fitting(found: Inspection) -> str:
    named = [c.architecture for c in found.candidates if c.architecture]
    return f"undecided: {', '.join(named)} fit" if named else "unknown"


def _keys(found: Inspection) -> str:
    base = f", {found.base} of them frozen base weights" if found.base else ""
    mixed = "".join(f", {n} of them in {name}'s names" for name, n in found.others.items())
    return f"{found.explained} of {found.total} explained{base}{mixed}"


def _checksums(found: Inspection) -> str:
    checked, total = found.integrity
    if not total:
        return "none in this container: damage to the weights cannot be seen"
    rest = "" if checked == total else "; --health checks all"
    return f"{checked} of {total} checked, all right{rest}"


def _first(items: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(items.items())[:_MOST_ITEMS]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value} (×{count})" for value, count in counts.items()) or "–"


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "…"


def _health_rows(found: Inspection) -> list[tuple[str, str]]:
    if found.health is None:
        return []
    if found.health.healthy:
        return [("health", "no NaN, no zero up factors, no missing partners, no duplicates")]
    return [
        (name.replace("_", " "), f"{len(items)}: {', '.join(items[:_SHOWN])}")
        for name, items in found.health._asdict().items()
        if items
    ]


def _show_tree(out: Output, names: tuple[str, ...]) -> None:
    """Keys by their dotted path, each segment written once."""
    previous: list[str] = []
    for name in sorted(names):
        parts = name.split(".")
        shared = 0
        while shared < min(len(previous), len(parts) - 1) and previous[shared] == parts[shared]:
            shared += 1
        for depth in range(shared, len(parts)):
            out.line("  " * depth + parts[depth])
        previous = parts


def proof_line(proof: Proof) -> str:
    """The proof in one line."""
    return f"{proof.modules} modules, {worst(proof)}, {proof.seconds:.2f} s"


def worst(proof: Proof) -> str:
    """How alike the two most different modules are."""
    if proof.exact:
        return "bit-exact"
    if proof.worst == float("inf"):
        return f"no match for {proof.worst_module}"
    return f"largest relative difference {proof.worst:.1e} ({proof.worst_module})"


def show_comparison(out: Output, proof: Proof) -> None:
    """Whether two files act alike, and what differs."""
    if out.quiet:
        out.line("equal" if proof.equal else "different")
        return
    if proof.equal:
        out.line(f"equal: {proof_line(proof)}")
        return
    out.line(f"different: {proof.differing} of {proof_line(proof)}")
    for reason, count in list(proof.reasons.items())[:_SHOWN]:
        out.line(f"  {reason}: {count} modules")


def show_plan(out: Output, plan: ConversionPlan) -> None:
    """What would be written."""
    if out.json:
        out.object({**plan.as_json(), "status": "planned"})
        return
    if out.quiet:
        out.line(plan.destination.path)
        return
    found = plan.origin
    out.line(
        f"{plan.origin.checkpoint.path}: {found.format}, {found.architecture or 'unknown architecture'},"
        f" {len(plan.adapter.deltas)} modules"
    )
    for path, file in zip(plan.outputs, plan.plan.files, strict=True):
        out.line(f"would write {path} ({size(file.size)})")
    _show_errors(out, plan.fields)
    for loss in plan.losses:
        out.note(f"loss: {loss}")
    for note in plan.notes:
        out.note(f"note: {note}")


def show_result(out: Output, result: Result) -> None:
    """What was written, what it cost and the proof."""
    if out.json:
        out.object(result.as_json())
        return
    if out.quiet:
        out.line(result.output)
        return
    for loss in result.plan["losses"]:
        out.note(f"loss: {loss['kind']}: {loss['detail']}")
    for note in result.plan["notes"]:
        out.note(f"note: {note}")
    out.line(f"{result.status}: {result.output} ({size(result.plan['bytes'])})")
    _show_errors(out, result.plan)
    if result.proof:
        what = "written as planned" if "errors" in result.plan else "proof"
        out.line(f"{what}: {proof_line(result.proof)}")


def _show_errors(out: Output, fields: Mapping[str, Any]) -> None:
    """How much of ΔW is lost where ranks were lowered."""
    errors: Mapping[str, float] = fields.get("errors", {})
    if errors:
        from statistics import median

        label = max(errors, key=errors.__getitem__)
        ranks = ", ".join(f"{size} (×{count})" for size, count in fields["ranks"].items())
        out.line(f"ranks: {ranks}")
        middle = median(errors.values())
        lost = f"{errors[label]:.1e} at most ({label}), median {middle:.1e}"
        out.line(f"lost of ΔW: {lost if errors[label] else 'nothing'}")
