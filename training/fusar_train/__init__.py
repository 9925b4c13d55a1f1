"""Builds data, trains and measures FUSAR-GPT; reuses the backend's tasks and model so that serving cannot disagree."""
