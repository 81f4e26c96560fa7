# syntax=docker/dockerfile:1
# scripts/check-image proves the run stage without a container engine; it reads packages, files, user and entry point from here.
FROM swift:6.3-bookworm AS build
RUN apt-get -q update \
    && apt-get -q install -y --no-install-recommends libevent-dev libnghttp2-dev libssl-dev libyaml-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN scripts/build-static

FROM debian:bookworm-slim
RUN apt-get -q update \
    && apt-get -q install -y --no-install-recommends ca-certificates libevent-2.1-7 libgcc-s1 libnghttp2-14 libssl3 \
    libstdc++6 libyaml-0-2 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/.build/static/propagating-proxy /usr/local/bin/propagating-proxy
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/propagating-proxy"]
CMD ["--config", "/etc/propagating-proxy/proxy.yaml"]
