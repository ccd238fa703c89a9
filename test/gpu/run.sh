#!/usr/bin/env bash
# Proves the CUDA backend on a machine with a GPU, nvcc and CMake; no Node.js. From the root of the repository:
#   OUT=/tmp/proof test/gpu/run.sh
# Leaves logs and record.json in $OUT (build/gpu without it), prints a table, and fails if any part fails. It ends within
# ten minutes: each part has a time limit of its own, and none gets more than is left of the whole.
set -u
OUT=${OUT:-build/gpu}
mkdir -p "$OUT"
status=0
most_seconds=580
declare -a parts=()
part() { # name, seconds, command...
  local name=$1 limit=$2 begin=$SECONDS outcome=0 left=$((most_seconds - SECONDS))
  shift 2
  [ "$limit" -le "$left" ] || limit=$((left > 1 ? left : 1))
  timeout "$limit" "$@" >"$OUT/$name.log" 2>&1 || outcome=$?
  local counts
  counts=$(grep -Eo '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped|SUMMARY: [0-9]+ (errors|hazards[^"]*)' "$OUT/$name.log" | paste -sd';')
  [ "$outcome" -eq 0 ] || status=1
  parts+=("{\"name\": \"$name\", \"exit\": $outcome, \"seconds\": $((SECONDS - begin)), \"counts\": \"$counts\"}")
  printf '%-22s exit %-4s %4s s  %s\n' "$name" "$outcome" "$((SECONDS - begin))" "$counts"
}
architectures=${WINNOW_CUDA_ARCHITECTURES:-90a-real}
part configure 60 cmake --preset cuda -DWINNOW_CUDA=ON -DWINNOW_CUDA_ARCHITECTURES="$architectures"
part build 240 cmake --build --preset cuda -j"$(nproc)" --target winnow_cuda winnow_native_tests winnow_gpu_bench
tests=build/cmake-cuda/test/native/winnow_native_tests
if [ -z "${WINNOW_CUBLASLT:-}" ] && command -v python3 >/dev/null; then
  WINNOW_CUBLASLT=$(python3 -c 'import glob, site
print(next((p for s in site.getsitepackages() for p in sorted(glob.glob(s + "/nvidia/**/libcublasLt.so.1[23]", recursive=True))), ""))')
  [ -n "$WINNOW_CUBLASLT" ] && export WINNOW_CUBLASLT
fi
export WINNOW_CUDA_GEMM=own
part tests-own 150 "$tests" cuda
part repeat-own 60 "$tests" "cuda/model/twenty"
part memcheck 90 compute-sanitizer --tool memcheck --error-exitcode 9 "$tests" attention_forward attention_backward cuda/attention linear_forward/cuda scatter norm sample/cuda softmax
part racecheck 60 compute-sanitizer --tool racecheck --error-exitcode 9 "$tests" linear_backward_weight/cuda attention_forward/cuda cuda/attention sample/cuda
part bench-own 60 build/cmake-cuda/test/native/winnow_gpu_bench
export WINNOW_CUDA_GEMM=cublaslt
part tests-cublaslt 60 "$tests" linear_forward/cuda linear_backward_input/cuda linear_backward_weight/cuda cuda/model cuda/large
part bench-cublaslt 60 build/cmake-cuda/test/native/winnow_gpu_bench
export WINNOW_CUBLASLT_CHOICE=timed
part tests-timed 60 "$tests" linear_forward/cuda linear_backward_input/cuda linear_backward_weight/cuda cuda/model/scores
part bench-timed 60 build/cmake-cuda/test/native/winnow_gpu_bench
python3 -c 'import torch' 2>/dev/null && part peak 60 python3 test/gpu/peak.py
records() { # the JSON lines in the logs of these parts, each with the part's name
  local name
  for name in "$@"; do grep -h '^{"name"' "$OUT/$name.log" 2>/dev/null | sed "s/^{/{\"part\": \"$name\", /"; done | paste -sd,
}
{
  printf '{\n"device": "%s",\n' "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -1)"
  printf '"nvcc": "%s",\n' "$(nvcc --version | tail -1)"
  printf '"cublaslt": "%s",\n' "$(grep -ho 'cuBLASLt [0-9.]*' "$OUT/bench-cublaslt.log" 2>/dev/null | head -1)"
  printf '"commit": "%s",\n' "${COMMIT:-$(git rev-parse HEAD 2>/dev/null)}"
  printf '"date": "%s",\n"parts": [\n' "$(date -u +%FT%TZ)"
  (IFS=,; printf '%s' "${parts[*]}")
  printf '\n],\n"results": [\n'
  records tests-own tests-cublaslt
  printf '],\n"timings": [\n'
  records bench-own bench-cublaslt bench-timed peak
  printf ']\n}\n'
} >"$OUT/record.json"
cat "$OUT/record.json"
exit $status
