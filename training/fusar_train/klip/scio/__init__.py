"""SCIO, self-consistent iterative optimisation (FUSAR-KLIP 3.4, algorithm 1): noise is found, kept out, rewritten."""
