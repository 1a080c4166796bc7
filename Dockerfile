# bidsmask as an image. `docker build -t bidsmask .` is all there is to it.
#   BASE_IMAGE  a Debian with Python 3.11 or later, as docker/requirements.txt wants it
#   TEMPLATES   TemplateFlow files to bake in, as docker/templates.py reads them; or none
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY docker/build-requirements.txt docker/requirements.txt ./
RUN python3 -m venv /opt/bidsmask \
 && /opt/bidsmask/bin/pip install --no-cache-dir --no-compile --require-hashes \
      -r build-requirements.txt \
 && /opt/bidsmask/bin/pip install --no-cache-dir --no-compile --require-hashes \
      --no-build-isolation --use-pep517 -r requirements.txt
ARG TEMPLATES="\
MNI152NLin2009cAsym:resolution=2,desc=brain,suffix=mask \
MNI152NLin2009cAsym:resolution=2,desc=fMRIPrep,suffix=boldref \
MNI152NLin2009cAsym:resolution=2,desc=none,suffix=T1w \
MNI152NLin2009cAsym:resolution=2,desc=none,suffix=T2w \
MNI152NLin2009cAsym:resolution=2,atlas=Schaefer2018,desc=100Parcels7Networks,suffix=dseg \
MNI152NLin2009cAsym:atlas=Schaefer2018,desc=100Parcels7Networks,suffix=dseg,extension=tsv \
MNI152NLin2009cAsym:resolution=2,atlas=Schaefer2018,desc=400Parcels7Networks,suffix=dseg \
MNI152NLin2009cAsym:atlas=Schaefer2018,desc=400Parcels7Networks,suffix=dseg,extension=tsv"
COPY docker/templates.py ./
RUN TEMPLATEFLOW_HOME=/opt/templateflow /opt/bidsmask/bin/python templates.py "${TEMPLATES}"
COPY pyproject.toml README.md LICENSE docker/bytecode.py ./
COPY bidsmask ./bidsmask
# -I: what a host's PYTHONPATH names, which Apptainer hands in, is not ours.
RUN /opt/bidsmask/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation . \
 && /opt/bidsmask/bin/pip check \
 && /opt/bidsmask/bin/pip uninstall --yes pip setuptools \
 && sed -i '1s/$/ -I/' /opt/bidsmask/bin/bidsmask /opt/bidsmask/bin/bidsmask-regions \
 && find /opt/bidsmask -type d '(' -name tests -o -name __pycache__ ')' -prune -exec rm -r '{}' + \
 && PYTHONDONTWRITEBYTECODE=1 TEMPLATEFLOW_HOME=/opt/templateflow \
      /opt/bidsmask/bin/python bytecode.py \
 && mkdir -p /image/opt /image/usr/local/bin \
 && mv /opt/bidsmask /opt/templateflow /image/opt/ \
 && ln -s /opt/bidsmask/bin/bidsmask /opt/bidsmask/bin/bidsmask-regions /image/usr/local/bin/

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
# Nothing is run from here on: the image is the base and this one layer.
COPY --from=build /image /
# pybids asks for a home folder, which a uid of no user has not.
ENV BIDSMASK_CONTAINER_TAG=bidsmask:${VERSION} \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    LANG=C.UTF-8 \
    HOME=/tmp
LABEL org.opencontainers.image.title="bidsmask" \
      org.opencontainers.image.description="Brain masks and cleaned 2D time series from BIDS datasets and their fMRIPrep derivatives" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/bidsmask/bidsmask" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 1000:1000
HEALTHCHECK NONE
ENTRYPOINT ["bidsmask"]
CMD ["--help"]
