"""Connections to a backend: find, install or start one, send requests to it, follow a job."""
