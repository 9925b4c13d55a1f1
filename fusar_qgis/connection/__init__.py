"""The way to a backend: finding or starting one, speaking HTTP to it, following one job; never blocking."""
