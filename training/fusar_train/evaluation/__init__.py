"""Figures: the papers' metrics, and the measurement of a checkpoint on chips that it never saw."""
