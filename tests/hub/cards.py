"""What the Hub says of the metadata at the top of a README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

LICENSES = {
    *("apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m"),
    *("bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0"),
    *("bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0"),
    *("cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0"),
    *("cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0"),
    *("epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl"),
    *("gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "h-research", "intel-research"),
    *("lppl-1.3c", "ms-pl", "apple-ascl", "apple-amlr", "mpl-2.0", "odc-by", "odbl", "openmdw-1.0"),
    *("openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl"),
    *("lgpl-lr", "deepfloyd-if-license", "fair-noncommercial-research-license", "llama2"),
    *("llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "grok2-community", "gemma"),
    *("unknown", "other"),
}
"""Identifiers of the Hub's page on licenses (hub-docs, docs/hub/repositories-licenses.md)."""
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)(?:\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")
_LINK = re.compile(r"https?://\S+")


class Findings(NamedTuple):
    """What is wrong with a README's metadata, and what could be better."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "errors": [{"message": message} for message in self.errors],
            "warnings": [{"message": message} for message in self.warnings],
        }


def metadata_of(content: str) -> dict[str, Any]:
    """The metadata at the top of a README; YAMLError or ValueError where it is not a map."""
    found = _FRONT.match(content)
    data = yaml.safe_load(found[1]) if found else None
    if data is not None and not isinstance(data, dict):
        raise ValueError("metadata must be a map")
    return data or {}


def validated(content: str) -> Findings:
    """What the Hub answers to ``/api/validate-yaml``."""
    try:
        data = metadata_of(content)
    except (yaml.YAMLError, ValueError) as error:
        return Findings((f"YAML Metadata Error: {error}",), ())
    if not data:
        return Findings((), ("empty or missing yaml metadata in repo card",))
    errors = [*_license_errors(data), *_base_errors(data), *_widget_errors(data.get("widget"))]
    for name in ("tags", "datasets"):
        value = data.get(name, [])
        listed = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (listed or (name == "datasets" and isinstance(value, str))):
            errors.append(f'"{name}" must be an array of strings')
    errors += [
        f'"{name}" must be a string'
        for name in ("license", "license_name", "pipeline_tag", "library_name", "instance_prompt")
        if not isinstance(data.get(name, ""), str) and not (name == "license" and data[name] == [])
    ]
    return Findings(tuple(errors), ())


def _license_errors(data: dict[str, Any]) -> Iterator[str]:
    license = data.get("license")
    if isinstance(license, str) and license not in LICENSES:
        yield f'"license" must be one of {sorted(LICENSES)}'
    link = data.get("license_link")
    if license == "other":
        if not data.get("license_name"):
            yield '"license_name" is required where "license" is "other"'
        elif not re.fullmatch(r"[a-z0-9.-]+", str(data["license_name"])):
            yield '"license_name" must be lower case letters, digits, dots and dashes'
        if not link:
            yield '"license_link" is required where "license" is "other"'
    elif "license_name" in data:
        yield '"license_name" is for "license: other" alone'
    if link and not (link in {"LICENSE", "LICENSE.md"} or _LINK.fullmatch(str(link))):
        yield '"license_link" must be LICENSE, LICENSE.md or a URL'


def _base_errors(data: dict[str, Any]) -> Iterator[str]:
    base = data.get("base_model", [])
    for one in base if isinstance(base, list) else [base]:
        if not isinstance(one, str) or not _REPOSITORY.fullmatch(one):
            yield f'"base_model" with value {one!r} is not valid. Use a model id from https://hf.co/models'


def _widget_errors(widget: Any) -> Iterator[str]:
    if widget is None:
        return
    if not isinstance(widget, list) or not all(isinstance(one, dict) for one in widget):
        yield '"widget" must be an array of maps'
        return
    for one in widget:
        output = one.get("output", {})
        if not isinstance(output, dict) or not isinstance(output.get("url", ""), str):
            yield '"widget[].output.url" must be a string'
        if not isinstance(one.get("text", ""), str):
            yield '"widget[].text" must be a string'
