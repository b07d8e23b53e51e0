"""The representation between files and rules: deltas on named modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.tensors.expr import Expr

ScaleSource: TypeAlias = Literal["tensor", "header", "config", "payload", "option", "assumed"]
Namespace: TypeAlias = Literal["diffusers", "native", "original", "model"]
"""Who names a module: Diffusers' files; the model's authors; they again, where others who load their
checkpoints have renamed the modules and ``native`` are those names; the class that is loaded today."""


class Scale(NamedTuple):
    """The factor of a delta, kept as the quotient it was written as so that alpha comes back exactly."""

    alpha: float
    divisor: float
    """The rank; its square root for rank-stabilised LoRA; 1 where the factor itself was written."""

    @property
    def value(self) -> float:
        """The factor."""
        return self.alpha / self.divisor

    def alpha_at(self, rank: float) -> float:
        """The alpha that gives the same factor at another rank."""
        return self.alpha if rank == self.divisor else self.alpha * rank / self.divisor


class Delta(NamedTuple):
    """What an adapter adds to one module."""

    component: str
    """``unet``, ``transformer``, ``text_encoder``, …; empty where nothing tells."""
    module: str
    """Dotted path in ``namespace``."""
    namespace: Namespace
    algorithm: str
    tensors: Mapping[str, Expr]
    """By role, as `lora_convert.algorithms` lists them."""
    scale: Scale
    scale_source: ScaleSource
    settings: Mapping[str, float] = {}
    """Numbers that belong to the tensors, as `lora_convert.algorithms` names them."""

    @property
    def label(self) -> str:
        """Component and module, for people."""
        return f"{self.component}.{self.module}" if self.component else self.module


class Adapter(NamedTuple):
    """Deltas, and what else their file held."""

    deltas: tuple[Delta, ...]
    base: int
    """Number of frozen base tensors in the file (a wrapped model was saved whole)."""
    metadata: Mapping[str, str]
    """File metadata that is not the format's own: it travels."""
    base_model: str = ""
    """Name or path of the base model, where a configuration gives one."""

    @property
    def components(self) -> tuple[str, ...]:
        """Components in order of appearance."""
        return tuple(dict.fromkeys(delta.component for delta in self.deltas))
