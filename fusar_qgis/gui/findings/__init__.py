"""The dock of the project's findings and runs."""
