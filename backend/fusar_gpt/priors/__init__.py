"""Priors: the AlphaEarth Foundations vectors of a chip's footprint, from nowhere or from a file."""

from fusar_gpt.priors.field import Footprint, PriorField
from fusar_gpt.priors.file import FilePrior
from fusar_gpt.priors.source import NoPrior, PriorSource, open_prior

__all__ = ["FilePrior", "Footprint", "NoPrior", "PriorField", "PriorSource", "open_prior"]
