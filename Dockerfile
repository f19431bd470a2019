# The page and the HTTP API on a CPU:
#   docker build -t lung-srad . && docker run --rm -p 127.0.0.1:7860:7860 lung-srad
FROM python:3.12-slim
WORKDIR /app
# Wheels for a CPU: those of PyPI bring gigabytes of CUDA libraries. Another index, such as a mirror of your own:
#   docker build --build-arg TORCH_INDEX=https://...
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir "torch>=2.7.1,<2.16" "torchaudio>=2.7.1,<2.12" --index-url $TORCH_INDEX
COPY setup.py pyproject.toml README.md LICENSE ./
COPY hparams hparams
COPY lung_srad_plugin lung_srad_plugin
RUN pip install --no-cache-dir ".[serve]" && useradd --create-home serve
USER serve
WORKDIR /home/serve
EXPOSE 7860
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/api/health')"]
CMD ["lung-srad", "serve", "--host", "0.0.0.0", "--port", "7860"]
