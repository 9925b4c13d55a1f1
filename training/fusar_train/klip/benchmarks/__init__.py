"""What a FUSAR-KLIP is worth (Yang et al., 2025, section 4): ``fusar-train klip evaluate``."""
