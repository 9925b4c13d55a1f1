"""Simulated SAR chips with exact truth and a prior of real AEF vectors. Everything made here is simulated."""

from fusar_train.simulation.chip import CHIP_PX, TOKEN_PX, simulate_chip, spoil_prior

__all__ = ["CHIP_PX", "TOKEN_PX", "simulate_chip", "spoil_prior"]
