# syntax=docker/dockerfile:1
# One image a target: docker build --target sidecar|agent|adapter -t forescale-TARGET:0.1.0 .
# For both architectures: docker buildx build --platform linux/amd64,linux/arm64 ...
# Pin PYTHON to a digest of your registry; any Python from 3.11 on will do. REVISION is told in the label, and
# in the metrics: --build-arg REVISION=$(git rev-parse HEAD)
ARG PYTHON=python:3.13-slim-bookworm
ARG REVISION=

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements/ requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY scripts/tree.sh scripts/
COPY sidecar/ sidecar/
COPY adapter/ adapter/

# LOCK, a file of requirements/, has more than the target needs: docs/install.md.
FROM build AS sidecar-tree
ARG LOCK=sidecar
RUN PYTHON=python3 bash scripts/tree.sh sidecar /opt/forescale

FROM build AS agent-tree
ARG LOCK=agent
RUN PYTHON=python3 bash scripts/tree.sh agent /opt/forescale

FROM build AS adapter-tree
ARG LOCK=adapter
RUN PYTHON=python3 bash scripts/tree.sh adapter /opt/forescale

# Nothing is written at run time: readOnlyRootFilesystem holds for all three.
FROM ${PYTHON} AS base
# Python's images have a standard library without byte code, which every start would compile anew: 1.0 s of a
# core in place of 0.4 for a sidecar, and 3 MiB more.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(site-packages|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ARG REVISION
ENV PATH=/opt/forescale/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 FORESCALE_REVISION=$REVISION
LABEL org.opencontainers.image.title=forescale \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.version=0.1.0 \
      org.opencontainers.image.licenses=Apache-2.0
USER 65532:65532

FROM base AS sidecar
COPY --from=sidecar-tree /opt/forescale /opt/forescale
EXPOSE 9401
ENTRYPOINT ["forescale-sidecar"]

FROM base AS agent
COPY --from=agent-tree /opt/forescale /opt/forescale
EXPOSE 9401
ENTRYPOINT ["forescale-sidecar"]

FROM base AS adapter
# One thread for numpy's linear algebra: small arrays, and a pool of threads per core costs memory.
ENV OPENBLAS_NUM_THREADS=1
COPY --from=adapter-tree /opt/forescale /opt/forescale
EXPOSE 10250 8080
ENTRYPOINT ["forescale"]
