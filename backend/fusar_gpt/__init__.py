"""FUSAR-GPT backend: a radar scene and a question in, georeferenced findings out.

Start with :mod:`fusar_gpt.interpret`, the main path.
"""

__version__ = "0.1.0"
