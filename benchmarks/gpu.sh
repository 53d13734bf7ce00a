#!/usr/bin/env bash
# The engines of test-time training on a GPU: parity, speed, where the time goes (see gpu.py).
# Needs PyTorch and transformers; WHEELS=folder installs what wheels lie there first, for this run.
set -euo pipefail
cd "$(dirname "$0")"
if [[ -n "${WHEELS:-}" ]]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    python3 -m pip install --quiet --no-index --no-deps --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
python3 gpu.py "$@"
