"""Priors: the AlphaEarth Foundations vectors of a chip's footprint, from nowhere, a file or a source of tiles."""

from fusar_gpt.priors.field import Footprint, PriorField, PriorSource
from fusar_gpt.priors.files import FilePrior
from fusar_gpt.priors.source import NoPrior, open_prior

__all__ = ["FilePrior", "Footprint", "NoPrior", "PriorField", "PriorSource", "open_prior"]
