"""The miniature experiment: the paper's ablations on simulated chips (docs/reproduce.md)."""
