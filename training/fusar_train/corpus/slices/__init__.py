"""From scenes to slices of equal ground: found, cut, screened, stored with their priors (FUSAR-KLIP 3.1)."""
