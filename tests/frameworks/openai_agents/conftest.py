"""openai-agents tells OpenAI nothing of what the tests do."""

from __future__ import annotations

import os

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
