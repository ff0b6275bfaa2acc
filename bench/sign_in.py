"""A signed-in browser's cookie."""

from __future__ import annotations

import re

import httpx

from bench.server import EMAIL, PASSWORD, Server


def cookie(server: Server) -> str:
    """The Cookie header of the first admin. Raises RuntimeError when sign-in fails."""
    with httpx.Client(base_url=server.url, follow_redirects=False) as browser:
        page = browser.get("/login")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        if found is None:
            raise RuntimeError("the sign-in page has no form")
        form = {"login": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": found.group(1)}
        answer = browser.post("/login", data=form, headers={"Referer": f"{server.url}/login"})
        if answer.status_code != 302:
            raise RuntimeError(f"sign-in answered {answer.status_code}")
        return "; ".join(f"{c.name}={c.value}" for c in browser.cookies.jar)
