# The turnlog command with the projector and the API. compose.yaml runs it.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY client client
COPY producers producers
COPY projector projector
COPY api api
COPY cli cli
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/turnlog \
    && pip --python /opt/turnlog/bin/python install --no-cache-dir --only-binary :all: \
        "$(echo /wheels/turnlog-*.whl)[projector,api,cli]"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin turnlog
COPY --from=build /opt/turnlog /opt/turnlog
ENV PATH=/opt/turnlog/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER turnlog
WORKDIR /
STOPSIGNAL SIGTERM
# Each service has a check of its own, in compose.yaml.
HEALTHCHECK NONE
CMD ["turnlog", "--help"]
