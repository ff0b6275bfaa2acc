"""What may not go in or come out of an agent: an input that is not let through is refused, an answer is asked for again."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from wflo.agents.errors import GuardrailError
from wflo.agents.loop import Outcome

# Says what is wrong with a text, None where nothing is. May change it by answering with ``Changed``.
Check = Callable[[str], "str | Changed | None | Awaitable[str | Changed | None]"]

_MAIL = re.compile(r"\b[\w.%+-]+@[\w-]+(?:\.[\w-]+)+\b")
_CARD = re.compile(r"\b(?:\d[ -]?){13,19}\b")
_PHONE = re.compile(r"(?<!\w)\+\d{1,3}[ -]?(?:\d[ -]?){6,12}\d\b")


@dataclass(frozen=True, slots=True)
class Changed:
    """The text goes on as this."""

    text: str


@dataclass(slots=True, kw_only=True)
class Guardrails:
    """``input`` checks run before the first call, ``output`` checks on the answer, which is asked for again ``retries`` times."""

    input: Sequence[Check] = ()
    output: Sequence[Check] = ()
    retries: int = 2

    async def look_at_input(self, text: str) -> str:
        """The text as it goes on. Raises GuardrailError."""
        for check in self.input:
            found = await _asked(check, text)
            if isinstance(found, Changed):
                text = found.text
            elif found is not None:
                raise GuardrailError(f"The input was not let through: {found}", guardrail=_name(check))
        return text

    async def look_at_output(self, outcome: Outcome, tries: int) -> str | None:
        """What to tell the model to have it answer again, after ``tries`` of those; None where the answer may go.

        Raises GuardrailError.
        """
        for check in self.output:
            found = await _asked(check, outcome.text)
            if isinstance(found, Changed):
                outcome.text = found.text
            elif found is not None:
                if tries >= self.retries:
                    raise GuardrailError(f"The answer was not let through: {found}", guardrail=_name(check))
                return f"Your answer cannot be used: {found} Answer again without that."
        return None


def blocklist(*words: str) -> Check:
    """No text with one of these words."""
    pattern = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in words), re.IGNORECASE)

    def blocklist(text: str) -> str | None:
        found = pattern.search(text) if words else None
        return None if found is None else f'it holds "{found.group()}".'

    return blocklist


def max_length(characters: int) -> Check:
    def max_length(text: str) -> str | None:
        return (
            None if len(text) <= characters else f"it has {len(text):,} characters, at most {characters:,} are allowed."
        )

    return max_length


def mask_personal_data(text: str) -> Changed | None:
    """Mail addresses, card numbers and international phone numbers, struck out."""
    masked = _MAIL.sub("[mail]", text)
    masked = _PHONE.sub("[phone]", _CARD.sub("[card]", masked))
    return None if masked == text else Changed(masked)


async def _asked(check: Check, text: str) -> str | Changed | None:
    found = check(text)
    return await found if inspect.isawaitable(found) else found


def _name(check: Check) -> str:
    return getattr(check, "__name__", type(check).__name__)
