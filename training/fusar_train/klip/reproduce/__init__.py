"""FUSAR-KLIP's Table 8 in miniature, and what its screen finds of noise that was planted (docs/klip.md)."""
