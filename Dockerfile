# What the lock files pin, as an image. The code is the clone that is mounted over /work, so that an
# edit of it needs no new image:
#   docker build --tag tttnn .
#   docker build --tag tttnn:gpu --build-arg ENVIRONMENT=gpu .
#   docker run --rm --init --user "$(id -u):$(id -g)" -v "$PWD:/work" tttnn snakemake --cores 2

# python:3.11.14-slim-bookworm for all its architectures
ARG BASE=docker.io/library/python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
FROM ${BASE}

ARG ENVIRONMENT=cpu
# PyPI's builds of PyTorch for Linux bring CUDA, gigabytes of it; these do not.
ARG WITHOUT_CUDA=https://download.pytorch.org/whl/cpu

# Triton compiles its kernels' launchers when it first runs. Where an ordinary user builds there is
# no user but root, so apt cannot become another.
RUN if [ "$ENVIRONMENT" = gpu ]; then \
        apt-get -o APT::Sandbox::User=root update \
        && apt-get -o APT::Sandbox::User=root install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi

COPY envs/${ENVIRONMENT}.lock /opt/tttnn/lock
RUN python3 -m venv /opt/tttnn \
    && if [ "$ENVIRONMENT" = cpu ]; then \
        grep '^torch==' /opt/tttnn/lock > /tmp/torch \
        && /opt/tttnn/bin/pip install --no-cache-dir --disable-pip-version-check \
            --no-deps --index-url "$WITHOUT_CUDA" --requirement /tmp/torch \
        && rm /tmp/torch; \
    fi \
    && /opt/tttnn/bin/pip install --no-cache-dir --disable-pip-version-check \
        --requirement /opt/tttnn/lock \
    && printf '#!/bin/sh\nPYTHONPATH="${PYTHONPATH-$PWD/workflow}" exec python -m tttnn "$@"\n' \
        > /opt/tttnn/bin/tttnn \
    && chmod +x /opt/tttnn/bin/tttnn

# Any user may run it (`--user`), also one that the image does not know: a home and a name are all
# that libraries ask for. The home is the mounted folder, so that what is fetched stays there.
ENV PATH=/opt/tttnn/bin:$PATH \
    HOME=/work \
    USER=tttnn \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
CMD ["snakemake"]
