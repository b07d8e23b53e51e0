"""Will it load, and load right? What an application makes of a file, by the tables of applications."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.algorithms import ALGORITHMS
from lora_convert.applications import APPLICATIONS, Application, File, Gap, Module
from lora_convert.architectures import ARCHITECTURES, fill, find
from lora_convert.errors import EXIT_DONE, EXIT_FAILED, LoraConvertError, OptionError
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.reading import read_adapter_of
from lora_convert.operations.recognising import check_told
from lora_convert.planning import Loss, TensorFile
from lora_convert.tensors.walk import sources

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter, Delta, Namespace
    from lora_convert.architectures import Architecture
    from lora_convert.conversion.spelling import Spelling
    from lora_convert.planning import TextFile

_NAMESPACES: tuple[Namespace, ...] = ("diffusers", "native", "original", "model")
_LOST = ("refuses", "drops")


class Finding(NamedTuple):
    """Something an application gets wrong about a file."""

    effect: str
    """``not found``, or the effect of a gap: ``refuses``, ``hides``, ``drops``, ``misreads``."""
    what: str
    source: str
    modules: int
    example: str
    """One of the modules concerned."""

    def __str__(self) -> str:
        return f"{self.effect}: {self.what} ({self.modules} modules, for example {self.example})"


class Loading(NamedTuple):
    """What one application makes of a file."""

    application: str
    title: str
    applied: int
    """Modules that it applies, rightly or not."""
    modules: int
    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        """Whether it applies every module as it was trained."""
        return self.applied == self.modules and not self.findings


class Check(NamedTuple):
    """What applications make of a file."""

    path: str
    format: str | None
    architecture: str | None
    loadings: tuple[Loading, ...]

    @property
    def exit_code(self) -> int:
        """0 where every application asked about loads it right, else 1."""
        return EXIT_DONE if all(loading.right for loading in self.loadings) else EXIT_FAILED

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "path": self.path,
            "format": self.format,
            "architecture": self.architecture,
            "applications": [
                {
                    **loading._asdict(),
                    "right": loading.right,
                    "findings": [finding._asdict() for finding in loading.findings],
                }
                for loading in self.loadings
            ],
        }


def check(
    path: str | os.PathLike[str],
    *,
    application: str | None = None,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
) -> Check:
    """What `application`, or each that has the file's model, makes of a file or folder.

    Nothing is run: the tables of `lora_convert.applications` are held against the file's names, shapes and
    scales. Raises RecognitionError where the file is none that can be read, AmbiguousCheckpointError among
    them where it may be of several models.
    """
    wanted = application_of(application) if application else None
    file = looked_at(path, adapter=adapter, component=component, architecture=architecture)
    kind = file.architecture
    asked = [wanted] if wanted else [one for one in APPLICATIONS.values() if one.knows(kind)]
    return Check(os.fspath(path), file.format, kind, tuple(loading_of(one, file) for one in asked))


def looked_at(
    path: str | os.PathLike[str],
    *,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
) -> File:
    """A file or folder, as applications look at it."""
    opened = open_adapter(os.fspath(path), architecture=architecture, component=component)
    with opened.checkpoint as checkpoint, opened.naming():
        check_told(opened, "what applications make of it hangs on which it is")
        found = read_adapter_of(opened, wanted=adapter).adapter
        name, kind = opened.detection.format or "", opened.detection.architecture
        file = file_of(found, name, kind, checkpoint.header.metadata, _first_key)
        checkpoint.check_unchanged()
    return file


def helps(
    path: str,
    application: str,
    *,
    adapter: str | None,
    component: str | None,
    architecture: str | None,
) -> bool:
    """Whether converting a file for an application leaves nothing that it gets wrong."""
    from lora_convert.operations.convert import plan_convert

    try:
        with plan_convert(
            path,
            application=application,
            adapter=adapter,
            component=component,
            architecture=architecture,
        ) as plan:
            return all(loss.kind != "reader gap" for loss in plan.losses)
    except LoraConvertError:
        return False


def application_of(name: str) -> Application:
    """The application of a name; OptionError where there is none."""
    if name not in APPLICATIONS:
        raise OptionError("for", name, choices=tuple(APPLICATIONS))
    return APPLICATIONS[name]


def format_for_all(
    name: str, paths: Iterable[str], *, architecture: str | None, component: str | None
) -> str:
    """The format that an application is given of several sources: names of outputs hang on it.

    OptionError where their architectures are given different ones.
    """
    from lora_convert.operations.several import sources_of

    application = application_of(name)
    formats = dict.fromkeys(application.writes.values())
    if len(formats) > 1:
        each = sources_of(paths, architecture=architecture, component=component)
        models = {_model_of(path, architecture, component) for path in each}
        formats = dict.fromkeys(map(application.format_for, filter(application.knows, models)))
    if len(formats) > 1:
        why = f"what it is given depends on the architecture: {' or '.join(formats)}"
        raise OptionError("for", name, why=why, hint="convert those of one architecture at a time")
    return next(iter(formats), application.usual_format)


def _model_of(path: str, architecture: str | None, component: str | None) -> str | None:
    """The architecture of a source; None where it cannot be told, which converting it says."""
    try:
        opened = open_adapter(path, architecture=architecture, component=component, from_afar=True)
    except LoraConvertError:
        return None
    with opened.checkpoint:
        return opened.detection.architecture


def file_of(
    adapter: Adapter,
    format_name: str,
    architecture: str | None,
    metadata: Mapping[str, str],
    named: Callable[[Delta], str],
) -> File:
    """An adapter, in a format's own names, as applications look at it.

    `named` gives the name of a module's first tensor there.
    """
    known = ARCHITECTURES[architecture] if architecture else None
    modules = tuple(_module(delta, known, named(delta)) for delta in adapter.deltas)
    return File(format_name, architecture, metadata, modules)


def _first_key(delta: Delta) -> str:
    """The name of the first tensor that a module was read from."""
    read = (source.name for tensor in delta.tensors.values() for source in sources(tensor))
    return next(read, "")


def _module(delta: Delta, architecture: Architecture | None, key: str) -> Module:
    magnitude = delta.tensors.get("magnitude")
    return Module(
        delta.component,
        delta.module,
        _namespaces(delta, architecture),
        delta.algorithm,
        frozenset(delta.tensors),
        delta.scale,
        delta.scale_source,
        magnitude is not None and len(magnitude.shape) > 1 and magnitude.shape[0] == 1,
        delta.settings,
        key,
    )


def _namespaces(delta: Delta, architecture: Architecture | None) -> frozenset[str]:
    """Who calls a module as it is called; all where the architecture is not known."""
    entry, digits = find(architecture, delta.module, delta.component)
    if entry is None:
        return frozenset(_NAMESPACES)
    numbers = entry.wildcards(digits)
    return frozenset(
        namespace
        for namespace in _NAMESPACES
        if delta.module in (fill(name, numbers) for name in entry.row.names(namespace))
    )


def reader_losses(
    application: Application,
    adapter: Adapter,
    target: Spelling,
    files: Iterable[TensorFile | TextFile],
) -> list[Loss]:
    """What an application would get wrong of an adapter in a format's names, and the files that hold it."""
    metadata = next((file.metadata for file in files if isinstance(file, TensorFile)), {})

    def named(delta: Delta) -> str:
        return target.spell(delta.component, delta.module, next(iter(delta.tensors)))

    written = adapter._replace(deltas=tuple(map(_with_constraint, adapter.deltas)))
    file = file_of(written, target.format.name, target.name, metadata, named)
    return [
        Loss("reader gap", f"{application.title} {finding}", finding.modules)
        for finding in loading_of(application, file).findings
    ]


def _with_constraint(delta: Delta) -> Delta:
    """A module as it is written: where alpha is a constraint, one is always written."""
    if ALGORITHMS[delta.algorithm].alpha != "constraint":
        return delta
    return delta._replace(settings={"constraint": 0.0, **delta.settings})


def loading_of(application: Application, file: File) -> Loading:
    """What an application makes of a file."""
    unread = [module for module in file.modules if not application.reads_module(module, file)]
    others = [module for module in file.modules if application.reads_module(module, file)]
    findings = [_unread(application, unread, file)] if unread else []
    lost = {(module.component, module.name) for module in unread}
    for gap in application.gaps:
        concerned = [module for module in others if gap.concerns(module, file)]
        if concerned:
            findings.append(_finding(gap, concerned))
            refused = file.modules if gap.effect == "refuses" else concerned
            if gap.effect in _LOST:
                lost |= {(module.component, module.name) for module in refused}
    total = len(file.modules)
    return Loading(application.name, application.title, total - len(lost), total, tuple(findings))


def _unread(application: Application, modules: list[Module], file: File) -> Finding:
    what = f"it does not look for these names of {file.format}"
    if not application.knows(file.architecture):
        what = f"it has no model for adapters of {file.architecture or 'an unknown architecture'}"
    return Finding("not found", what, application.source, len(modules), _label(modules[0]))


def _finding(gap: Gap, modules: list[Module]) -> Finding:
    return Finding(gap.effect, gap.what, gap.source, len(modules), _label(modules[0]))


def _label(module: Module) -> str:
    return f"{module.component}.{module.name}" if module.component else module.name
