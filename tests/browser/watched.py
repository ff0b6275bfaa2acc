"""What a browser complains of while a test uses it."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Dialog, Page


@dataclass(slots=True)
class Watched:
    """What the browser complained of: console errors (CSP violations are), exceptions, requests to elsewhere."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    is_over: bool = False

    def expect(self, words: str) -> None:
        """A complaint with these words is what the test is about."""
        self.expected.append(words)

    def end(self) -> None:
        """The test is over: what was said until now is heard, and not what pages say of requests that end with them."""
        for page in self.pages:
            if not page.is_closed():
                page.title()
        self.is_over = True

    def hear(self, message: ConsoleMessage) -> None:
        if not self.is_over and message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    @property
    def unexpected(self) -> list[str]:
        return [said for said in self.complaints if not any(words in said for words in self.expected)]

    def watch(self, page: Page) -> None:
        self.pages.append(page)
        page.on("console", lambda message: self.hear(message))
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: self._dialog(dialog))
        page.on("request", lambda request: self._request(request.url))

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append("a dialog opened")
        dialog.dismiss()

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:", "about:")):
            self.complaints.append(f"a request to {url}")
