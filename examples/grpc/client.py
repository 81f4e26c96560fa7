#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The local requestor: makes the tutorial's four kinds of call, without any tracing metadata; a line of JSON for each."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, Iterator

import grpc

from landing import METHODS, LandingStub
from messages import TalkRequest, TalkResponse

LANGUAGE = "PYTHON"


def requests() -> Iterator[TalkRequest]:
    """Three, a moment apart: a stream, not a parcel."""
    for number in ("0", "1", "2"):
        yield TalkRequest(number, LANGUAGE)
        time.sleep(0.01)


def talk(stub: LandingStub, method: str) -> list[TalkResponse]:
    """One call of that method; its responses."""
    request: Any = {"Talk": TalkRequest("0", LANGUAGE), "TalkOneAnswerMore": TalkRequest("0,1,2", LANGUAGE)}.get(method)
    answered = stub.calls[method](request or requests(), timeout=15)
    return [answered] if isinstance(answered, TalkResponse) else list(answered)


def main() -> int:
    """One line per call; 1 when any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="HOST:PORT to call")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"of {', '.join(METHODS)} (default: each once)")
    parser.add_argument("--authority", help="the name to call it by (default: the target)")
    options = parser.parse_args()
    failed = False
    channel_options = [("grpc.default_authority", options.authority)] if options.authority else []
    with grpc.insecure_channel(options.target, channel_options) as channel:
        stub = LandingStub(channel)
        for method in options.methods or METHODS:
            document: dict[str, Any] = {"method": method}
            try:
                responses = talk(stub, method)
            except grpc.RpcError as error:
                document |= {"code": error.code().name, "details": error.details()}
                failed = True
            else:
                results = [result.kv for response in responses for result in response.results]
                document |= {"code": "OK", "responses": len(responses), "results": results}
            print(json.dumps(document, ensure_ascii=False), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
