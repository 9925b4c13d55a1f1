"""The HTTP API: jobs as in OGC API - Processes, with server-sent events, behind a bearer token.

:func:`fusar_gpt.server.app.create_app` makes the application over any interpreter, :mod:`fusar_gpt.server.serve` is
the command ``fusar serve``. Nothing is imported here, so that the command line starts fast.
"""
