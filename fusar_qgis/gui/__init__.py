"""The plugin's windows, map tools and messages."""
