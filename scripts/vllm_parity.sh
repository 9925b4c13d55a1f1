#!/bin/sh
# Compares --engine vllm with the local engine on the sample scenes, with a true vLLM on this machine's GPU.
#
#   scripts/vllm_parity.sh [MODEL [DTYPE]]      MODEL: tiny (the default), a stored name or a folder
#
# Installs nothing. Needs: vllm 0.12 or newer on the PATH (in an environment of its own: it pins other versions of
# torch and transformers), an NVIDIA GPU, and python with fusar-gpt (PYTHON names another one). It exports MODEL,
# serves it on 127.0.0.1:$PORT (8123), prints a table and stops the server. Exit status 1: a text differs.
set -eu

model=${1:-tiny}
dtype=${2:-float32}
port=${PORT:-8123}
python=${PYTHON:-python}
here=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    echo "vllm_parity: $1" >&2
    exit 2
}
command -v vllm >/dev/null || fail "there is no vllm on the PATH: pip install vllm into an environment of its own"
command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null || fail "there is no NVIDIA GPU that nvidia-smi sees"
"$python" -c 'import fusar_gpt' 2>/dev/null || fail "$python has no fusar-gpt: name another one in PYTHON"

work=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

VLLM_API_KEY=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
export VLLM_API_KEY
"$python" -m fusar_gpt checkpoint export "$model" --format vllm --out "$work/model" >"$work/said"
serve=$(sed -n 's/^serve: //p' "$work/said")
echo "vllm_parity: $(vllm --version 2>/dev/null | tail -1), $(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)"
echo "vllm_parity: $serve --dtype $dtype --host 127.0.0.1 --port $port"
# The command is our own, quoted for a shell; exec, so that $! is vLLM itself.
sh -c "exec $serve --dtype $dtype --host 127.0.0.1 --port $port" >"$work/log" 2>&1 &
server=$!
tries=0
until "$python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/health', timeout=2)" 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { tail -30 "$work/log" >&2; fail "vLLM ended at the start"; }
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { tail -30 "$work/log" >&2; fail "vLLM does not start within ten minutes"; }
    sleep 2
done
"$python" "$here/bench/vllm_parity.py" "http://127.0.0.1:$port" --model "$model" --dtype "$dtype"
