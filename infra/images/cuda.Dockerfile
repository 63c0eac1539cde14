# The image that steps run in on a cloud's GPU machines. PyTorch's wheels bring the CUDA libraries; the machine brings
# the driver. Build it in the project's folder and push it to the stack's registry:
#   docker build -f infra/images/cuda.Dockerfile --build-arg EXTRAS=cuda,ledger,aws -t REGISTRY/REPOSITORY:TAG .
#
# The base is pinned by tag. Its digest could not be looked up where this file was written: pin it before production
# use (docker buildx imagetools inspect python:3.11.14-slim-bookworm), as FROM python:3.11.14-slim-bookworm@sha256:...
# checkov:skip=CKV_DOCKER_2: a step runs once and ends; nothing asks for its health
FROM python:3.11.14-slim-bookworm

ARG EXTRAS=cuda,ledger,aws
# SageMaker may want root (infra/README.md): --build-arg RUN_AS=0. Nothing else does.
ARG RUN_AS=10001

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ZENML_CONFIG_PATH=/tmp/zenml \
    ZENML_ANALYTICS_OPT_IN=false \
    HF_HOME=/tmp/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    DVC_NO_ANALYTICS=1 \
    SAGEMAKER_USER_CONFIG_OVERRIDE=/app/infra/aws/sagemaker.yaml \
    PRIMUM_HOME=/primum

RUN groupadd --gid 10001 primum \
    && useradd --uid 10001 --gid 10001 --create-home primum \
    && install --directory --owner primum --group primum /primum

WORKDIR /app

# Requirements before code: a change of code does not install everything again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src/primum/__init__.py src/primum/__init__.py
RUN python -m pip install --constraint constraints.txt --editable ".[${EXTRAS}]"

COPY src/primum src/primum
COPY configs configs
COPY pipelines pipelines
COPY steps steps
COPY infra/aws/sagemaker.yaml infra/aws/sagemaker.yaml
COPY run.py ./

USER ${RUN_AS}
