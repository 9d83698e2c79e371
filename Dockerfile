# The router's image. Any builder can build it from a checkout: docker build -t inference-router .
#
# Arguments:
#   BASE      the base of both stages: Debian 12 with apt
#   VERSION   for the label org.opencontainers.image.version
#   REVISION  the commit, for the label org.opencontainers.image.revision
ARG BASE=docker.io/library/debian:bookworm-slim

FROM $BASE AS build
WORKDIR /source
# Installs the build dependencies before the sources are copied: the layer is rebuilt only when the list changes.
COPY dev ./
RUN ./dev setup
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY config config
COPY tls tls
COPY router router
RUN ./dev build release
RUN ./dev packages build/release/inference-router >packages

FROM $BASE
COPY LICENSE /usr/share/doc/inference-router/
COPY --from=build /source/packages /usr/share/doc/inference-router/
RUN apt-get update -qq \
  && xargs apt-get install -y -qq --no-install-recommends ca-certificates </usr/share/doc/inference-router/packages \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old
COPY --from=build /source/build/release/inference-router /usr/local/bin/
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="inference-router" \
  org.opencontainers.image.description="The front door of a cluster that serves machine-learning models" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$REVISION"
# 8080, 8443: requests, if the listeners of router.yaml use these ports. 9901: /metrics, /healthz, /readyz, if `observe.address`
# opens it. 9903: the other routers, if there is a section `fleet`.
EXPOSE 8080 8443 9901 9903
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/inference-router"]
CMD ["--config", "/etc/inference-router/router.yaml"]
