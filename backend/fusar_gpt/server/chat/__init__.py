"""Chat about a scene or images, as in OpenAI's API: messages become runs, and findings become text that cites them."""

from fusar_gpt.server.chat.routes import router

__all__ = ["router"]
