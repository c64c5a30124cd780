# The app for a server; docs/deployment.md says how to use it.
FROM python:3.12-slim

# Compilers, for the compiled decode step and compiled training: without them the app works, more slowly.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ libc6-dev && rm -rf /var/lib/apt/lists/*

WORKDIR /source
COPY requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY playground playground
COPY checkpoints/gallery checkpoints/gallery
RUN pip install --no-cache-dir --no-deps . && rm -rf build *.egg-info

RUN useradd --uid 10001 --no-create-home playground && install -d -o playground /data
USER playground
WORKDIR /data
VOLUME /data

# Everything that is kept is in /data; /tmp may be a file system in memory, if programs in it can be run.
ENV HOME=/tmp PLAYGROUND_DATA=/data/runs PLAYGROUND_CACHE=/data/corpora GRADIO_TEMP_DIR=/data/uploads PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --start-period=60s --timeout=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health', timeout=8)"]
CMD ["llm-playground", "serve", "--host", "0.0.0.0", "--port", "7860", "--no-browser"]
