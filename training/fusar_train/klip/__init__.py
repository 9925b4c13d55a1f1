"""FUSAR-KLIP (Yang et al., 2025): trains the dual encoder of ``fusar_gpt.retrieval`` with its three losses."""
