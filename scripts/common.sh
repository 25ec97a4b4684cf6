# Sourced by the scripts here: where things are, and one line for each step that takes a while.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
logs=$root/build/log
python=/usr/bin/python3
jobs=${BRIGADE_JOBS:-$(nproc)}

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# step NAME COMMAND...: runs it with its output in build/log/NAME.log and prints one line with the
# time it took; on a terminal the last line of the output is shown meanwhile. When it fails, prints
# the end of the log and returns its status.
step() {
  local name=$1 log begin=$SECONDS status=0 child
  shift
  log=$logs/${name//[^a-zA-Z0-9.+]/-}.log
  mkdir -p "$logs"
  "$@" >"$log" 2>&1 &
  child=$!
  if [ -t 1 ]; then
    while kill -0 "$child" 2>/dev/null; do
      printf '\r\033[K  %s  %d s  %s' "$name" $((SECONDS - begin)) \
        "$(tail -c 200 "$log" | tr '\r\t' '\n ' | tail -n 1 | cut -c "1-$((${COLUMNS:-80} - 40))")"
      sleep 0.3
    done
    printf '\r\033[K'
  fi
  wait "$child" || status=$?
  if [ "$status" = 0 ]; then
    printf '  %-36s %5d s\n' "$name" $((SECONDS - begin))
  else
    printf '  %-36s %5d s  FAILED (%d)\n' "$name" $((SECONDS - begin)) "$status"
    printf '%s\n' "--- the end of $log" >&2
    tail -n 40 "$log" | cut -c 1-200 >&2
  fi
  return "$status"
}

# build PRESET TARGET...: configures and builds; all targets when none is named.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" && cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"}
}
