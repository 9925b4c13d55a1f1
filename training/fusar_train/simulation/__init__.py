"""Simulated SAR chips with exact truth and a prior of real AEF vectors. Everything made here is simulated."""

from fusar_train.simulation.chip import CHIP_PX, TOKEN_PX, drop_or_swap_prior, simulate_chip

__all__ = ["CHIP_PX", "TOKEN_PX", "drop_or_swap_prior", "simulate_chip"]
