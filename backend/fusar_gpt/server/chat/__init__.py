"""Grounded chat: words to an intention, an interpretation to words, in the OpenAI shape."""

from fusar_gpt.server.chat.routes import router

__all__ = ["router"]
