# SPDX-License-Identifier: Apache-2.0
"""The picture of the tutorial: what every trace of a run must be."""

from __future__ import annotations

from tree import Shape, hop

EDGE, GATEWAY = "externalproxy", "istio-ingressgateway.istio-system"

_PRODUCTPAGE, _DETAILS, _REVIEWS, _RATINGS = (
    f"{name}.default" for name in ("productpage", "details", "reviews", "ratings")
)

PICTURE: Shape = (
    EDGE,
    "SERVER",
    (
        hop(
            EDGE,
            GATEWAY,
            hop(
                GATEWAY,
                _PRODUCTPAGE,
                hop(_PRODUCTPAGE, _DETAILS),
                hop(_PRODUCTPAGE, _REVIEWS, hop(_REVIEWS, _RATINGS)),
            ),
        ),
    ),
)
"""Eleven spans: the proxy's two, the gateway's two, and the sidecars' seven."""
SPAN_COUNT = 11
