"""Searches a scene by words or by example: the field, its examples, and the ranked places."""
