# The images of compose.yaml: `earwitness`, and `demo` with the simulated providers beside it.
#
#   docker build --target earwitness --tag earwitness .
#
# The base is pinned by its exact version. A tag can be moved; to pin its content too, add its digest,
# which `docker buildx imagetools inspect` or `skopeo inspect` prints:
#   docker build --build-arg PYTHON=docker.io/library/python:3.11.14-slim-bookworm@sha256:... .
ARG PYTHON=docker.io/library/python:3.11.14-slim-bookworm

FROM ${PYTHON} AS packages
# Only what production needs, each file by its hash: requirements.lock has the tests' packages too.
# The copied environment has no pip, and nothing is compiled: every package has a wheel.
# Pass an index or a proxy of your own as a secret, which stays in no layer:
#   docker build --secret id=pip,src=$HOME/.config/pip/pip.conf .
COPY requirements.runtime.lock /
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python -m venv --without-pip /app/.venv \
    && python -m pip --python /app/.venv/bin/python install --no-cache-dir \
        --disable-pip-version-check --only-binary :all: --require-hashes \
        --requirement /requirements.runtime.lock
WORKDIR /source
COPY config/ config/
COPY providers/ providers/
COPY archive/ archive/
COPY ledger/ ledger/
COPY tasks/ tasks/
COPY worker/ worker/
COPY demo/ demo/
# The command `earwitness`, as `make setup` installs it. The containers' file system is read-only:
# without compiling here, every start would compile again.
RUN install -m 755 worker/earwitness /app/.venv/bin/ \
    && /app/.venv/bin/python -m compileall -q .

FROM ${PYTHON} AS earwitness
LABEL org.opencontainers.image.title="Earwitness" \
      org.opencontainers.image.description="Fetches, verifies and keeps telephony recordings." \
      org.opencontainers.image.licenses="Apache-2.0"
# The same user id on every host, whatever users the host has: volumes and secrets belong to it.
RUN groupadd --gid 10001 earwitness \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin earwitness \
    && for folder in data data/archive data/spool beat hooks flower; do \
        install -d -o 10001 -g 10001 -m 0750 "/var/lib/earwitness/$folder" || exit 1; done
COPY --from=packages /app/.venv /app/.venv
COPY --from=packages /source /app
COPY LICENSE /app/
ENV PATH=/app/.venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["celery", "-A", "worker", "worker"]

FROM earwitness AS demo
COPY tests/__init__.py tests/
COPY tests/samples/ tests/samples/
COPY tests/simulators/ tests/simulators/
CMD ["python", "-m", "tests.simulators", "--host", "0.0.0.0", "--port", "8080"]

# The default target.
FROM earwitness
