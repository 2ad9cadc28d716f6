"""The careless Django app over WSGI."""

from __future__ import annotations

import django_app  # type: ignore[import-not-found] # stands beside this file, where servers look
import wiring  # type: ignore[import-not-found] # likewise
from django.core.handlers.wsgi import WSGIHandler

app = wiring.wrap(WSGIHandler(), "wsgi")

__all__ = ["app", "django_app"]
