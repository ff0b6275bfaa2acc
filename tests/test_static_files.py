"""Static files through a real server: named by their content, compressed, kept for ever, and nothing else is served."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.templatetags.static import static
from pytest_django.plugin import DjangoDbBlocker

from tests.server import running_server
from wflo_site.static_files import ContentNames

SOURCE = Path(__file__).parent.parent / "dashboards/static/dashboards/app.js"


@pytest.fixture(scope="module")
def client(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("static")
    with django_db_blocker.unblock(), running_server(home) as server, httpx.Client(base_url=server.url) as client:
        yield client


def test_a_file_is_named_by_its_content_and_kept_for_ever(client: httpx.Client) -> None:
    address = static("dashboards/app.js")
    assert re.fullmatch(r"/static/dashboards/app\.[0-9a-f]{12}\.js", address)
    answer = client.get(address)
    assert answer.content == SOURCE.read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_it_is_sent_compressed_to_who_can_read_that(client: httpx.Client) -> None:
    address = static("plotly/plotly.min.js")
    with client.stream("GET", address, headers={"Accept-Encoding": "gzip, br"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 3


def test_what_a_browser_has_is_not_sent_again(client: httpx.Client) -> None:
    address = static("dashboards/app.js")
    etag = client.get(address).headers["etag"]
    again = client.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.head(address).status_code == 200
    assert client.post(address).status_code == 405


@pytest.mark.parametrize("address", ["/static/dashboards/app.js", "/static/dashboards/app.000000000000.js"])
def test_a_name_of_another_day_gets_todays_file_for_a_minute(client: httpx.Client, address: str) -> None:
    answer = client.get(address)
    assert answer.content == SOURCE.read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(
    "address",
    [
        "/static/",
        "/static/nothing.js",
        "/static/dashboards",
        "/static/dashboards/",
        "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static//etc/passwd",
        "/static/dashboards/..%2f..%2f..%2fapps.py",
        "/static/plotly/widgetbundle.js",
        "/static/x%00.js",
    ],
)
def test_nothing_else_is_served(client: httpx.Client, address: str) -> None:
    assert client.get(address, follow_redirects=False).status_code in (400, 404)


def test_a_file_that_is_not_there_is_an_error_where_it_is_named() -> None:
    with pytest.raises(ValueError, match="no static file"):
        ContentNames().url("dashboards/nothing.css")
