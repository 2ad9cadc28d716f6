"""The model providers that are known: where requests may carry content unless an operator says so.

A literal table, last gone through on 2026-11-21 against the providers' SDKs and genai-prices 0.2.3.
"""

from __future__ import annotations

import re
from typing import Final

HOSTS: Final = (
    "api.openai.com",  # OpenAI
    "eu.api.openai.com",  # OpenAI, data residency
    "us.api.openai.com",
    "*.openai.azure.com",  # Azure OpenAI
    "*.services.ai.azure.com",  # Azure AI Foundry
    "*.cognitiveservices.azure.com",
    "*.models.ai.azure.com",
    "api.anthropic.com",  # Anthropic
    "generativelanguage.googleapis.com",  # Gemini API
    "aiplatform.googleapis.com",  # Vertex AI, global
    "api.mistral.ai",  # Mistral
    "codestral.mistral.ai",
    "api.cohere.com",  # Cohere
    "api.cohere.ai",
    "api.deepseek.com",  # DeepSeek
    "api.groq.com",  # Groq
    "api.x.ai",  # xAI
    "openrouter.ai",  # OpenRouter
    "api.openrouter.ai",
    "api.together.xyz",  # Together
    "api.fireworks.ai",  # Fireworks
    "api.perplexity.ai",  # Perplexity
    "api.moonshot.ai",  # Moonshot (Kimi)
    "api.moonshot.cn",
    "api.cerebras.ai",  # Cerebras
    "api.novita.ai",  # Novita
    "inference.baseten.co",  # Baseten
    "router.huggingface.co",  # Hugging Face Inference Providers
    "api.meta.ai",  # Meta
    "api.minimax.io",  # MiniMax
    "api.z.ai",  # Z.ai
    "open.bigmodel.cn",
    "api.voyageai.com",  # Voyage
)
"""Names, and wildcards of one label."""

REGIONAL: Final = (
    re.compile(
        r"bedrock-runtime(?:-fips)?\.[a-z]{2}(?:-[a-z]{2,12}){1,3}-\d\.amazonaws\.com(?:\.cn)?"
    ),
    re.compile(r"[a-z]{2,12}(?:-[a-z]{2,12})?\d{0,2}-aiplatform\.googleapis\.com"),
    re.compile(r"aiplatform\.(?:eu|us)\.rep\.googleapis\.com"),
)
"""Hosts that hold a region's name: Amazon Bedrock's runtime, Vertex AI."""


def is_known(host: str) -> bool:
    """Tell whether *host*, in the common form, is a known provider's."""
    return (
        host in _NAMES
        or ("*." + host.partition(".")[2]) in _NAMES
        or any(pattern.fullmatch(host) for pattern in REGIONAL)
    )


_NAMES: Final = frozenset(HOSTS)
