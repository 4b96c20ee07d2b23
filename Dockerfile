# One image for server, workers and sandbox, which differ in their command; see
# compose.yaml.
FROM python:3.13-slim

RUN useradd --uid 10001 --home-dir /var/lib/bottlepost --create-home bottlepost \
 && install --directory --owner=bottlepost --mode=700 /sandbox

WORKDIR /app
COPY . .
RUN pip install --no-cache-dir ".[speed,postgresql,celery]"

USER bottlepost
EXPOSE 8080
CMD ["python", "server.py"]
