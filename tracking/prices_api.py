"""Prices over HTTP: what the prices page does, for scripts. The scope "admin" is needed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Body, Router, Schema
from pydantic import Field

from tracking import pricing
from tracking.errors import WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Team
from tracking.price_input import FIELDS, per_million
from tracking.reading_json import write
from tracking.reading_schemas import Money
from wflo.rates import Rates

router = Router(auth=ApiKeyAuth(Scope.ADMIN), tags=["Prices"])


class NewPrice(Schema):
    """Figures in USD per million tokens. A bucket left out is charged as input or output; 0 is a price: free."""

    input_usd_per_million: Decimal | str | None = None
    output_usd_per_million: Decimal | str | None = None
    cache_read_usd_per_million: Decimal | str | None = None
    cache_write_usd_per_million: Decimal | str | None = None
    reasoning_usd_per_million: Decimal | str | None = None
    valid_from: str | None = Field(
        None, description="a day or moment (UTC); without it: from today on. No earlier day changes"
    )


class PriceShown(Schema):
    model: str
    valid_from: datetime
    source: str
    prices: dict[str, Money] = Field(description=f"USD per million tokens by field name: {', '.join(FIELDS.values())}")


# The body is read by tracking.price_input, as the page's form is, so that each fault is named the same way.
_SCHEMA = NewPrice.json_schema() | {"minProperties": 1}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.put(
    "/prices/{path:model}",
    response=PriceShown,
    summary="Set the team's price of a model",
    openapi_extra=_BODY,
)
def put_price(request: HttpRequest, model: str, body: Body[dict[str, Any]]) -> HttpResponse:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    valid_from = body.pop("valid_from", None)
    price = pricing.set_price(
        caller.actor(request_id=getattr(request, "id", "")),
        Team.objects.get(pk=caller.team_id),
        model,
        body,
        valid_from=valid_from,
    )
    shown: dict[str, Any] = {
        "model": price.model,
        "valid_from": price.valid_from,
        "source": price.source,
        "prices": per_million(Rates.from_json(price.rates)),
    }
    return HttpResponse(write(shown), content_type="application/json")
