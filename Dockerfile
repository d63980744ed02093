# Builds the wheel, installs it with exactly what requirements/run.txt locks, and keeps only that.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
RUN python -m venv /opt/stressd
COPY requirements/run.txt requirements/
RUN /opt/stressd/bin/python -m pip install --require-hashes --only-binary :all: --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY featurestore featurestore
COPY stressd stressd
RUN /opt/stressd/bin/python -m hatchling build -t wheel -d /wheels \
    && /opt/stressd/bin/python -m pip install --no-index --no-deps /wheels/*.whl \
    && /opt/stressd/bin/python -m pip uninstall --yes hatchling editables pathspec pluggy trove-classifiers pip \
    && install -d -o 10001 -g 10001 -m 0700 /state

FROM ${PYTHON_IMAGE}
ARG STRESSD_COMMIT=
ENV PATH=/opt/stressd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STRESSD_COMMIT=${STRESSD_COMMIT} \
    STRESSD_STATE=/var/lib/stressd \
    STRESSD_LISTEN=0.0.0.0:9464
COPY --from=build /opt/stressd /opt/stressd
COPY --from=build --chown=10001:10001 /state /var/lib/stressd
COPY config/scenarios /etc/stressd/scenarios
USER 10001:10001
WORKDIR /var/lib/stressd
VOLUME /var/lib/stressd
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["stressd"]
CMD ["run", "/etc/stressd/scenarios/continuous.yaml", "--quiet", "--log-format", "json"]
