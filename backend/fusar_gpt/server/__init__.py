"""The HTTP door: jobs in the shape of OGC API - Processes, with server-sent events, behind a bearer token.

:func:`fusar_gpt.server.app.create_app` is the application over any interpreter, :mod:`fusar_gpt.server.serve`
the ``fusar serve`` command. Nothing is imported here, so that the command line stays light.
"""
