# One image for server, workers and sandbox, which differ in their command; see
# compose.yaml.
#
#   docker build --tag bottlepost .
#   docker run --publish 8080:8080 --volume bottlepost:/var/lib/bottlepost bottlepost
FROM python:3.13-slim AS wheel
COPY deploy/constraints-build.txt /
RUN pip install --no-cache-dir --require-hashes --requirement /constraints-build.txt
COPY . /source
RUN pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheel /source

FROM python:3.13-slim
ENV PATH=/opt/bottlepost/command:/opt/bottlepost/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BOTTLEPOST_HOST=0.0.0.0 \
    BOTTLEPOST_RUN_DIR=/var/lib/bottlepost
RUN useradd --uid 10001 --home-dir /var/lib/bottlepost --no-create-home --shell /usr/sbin/nologin bottlepost \
 && install --directory --owner=bottlepost --group=bottlepost --mode=700 /var/lib/bottlepost /sandbox
# The dependencies have a layer of their own, which changes of the code leave alone.
COPY deploy/constraints.txt /opt/bottlepost/
RUN python -m venv /opt/bottlepost \
 && pip install --no-cache-dir --require-hashes --requirement /opt/bottlepost/constraints.txt
COPY --from=wheel /wheel /opt/bottlepost/wheel
RUN pip install --no-cache-dir --no-index --no-deps /opt/bottlepost/wheel/*.whl \
 && pip check
COPY --chmod=755 deploy/container/bottlepost /opt/bottlepost/command/

USER bottlepost
WORKDIR /var/lib/bottlepost
VOLUME /var/lib/bottlepost
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --start-interval=2s \
    CMD ["bottlepost", "healthcheck"]
# The first process reaps children whose parent has ended.
ENTRYPOINT ["dumb-init", "--single-child", "--"]
CMD ["bottlepost", "serve"]
