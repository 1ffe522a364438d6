# One image for the three processes: `mediagate gateway`, `mediagate streams`, `mediagate sinks`.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements/runtime.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY mediagate mediagate
COPY gateway gateway
COPY streams streams
COPY sinks sinks
COPY workers workers
COPY scan_engine scan_engine
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --no-create-home mediagate
COPY --from=build /venv /venv
WORKDIR /app
COPY topics.yaml policy.yaml ./
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER mediagate
ENTRYPOINT ["mediagate"]
