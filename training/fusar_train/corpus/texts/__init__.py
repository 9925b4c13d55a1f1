"""Eight sub-texts a slice: described by a vision model or by templates, stored, measured (FUSAR-KLIP 3.2, 4.2)."""
