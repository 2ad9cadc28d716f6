"""The careless Django app over ASGI."""

from __future__ import annotations

import django_app  # type: ignore[import-not-found] # stands beside this file, where servers look
import wiring  # type: ignore[import-not-found] # likewise
from django.core.handlers.asgi import ASGIHandler

app = wiring.instrumented(wiring.wrap(ASGIHandler(), "asgi"))

__all__ = ["app", "django_app"]
