#!/bin/sh
# Instructions an operation takes on one thread: ours, tokio-util's, the ratio.
# The counts repeat exactly from run to run, but change with the compiler.
# Needs valgrind. Threads are serialised under it: nothing here is contended.
set -eu
cd "$(dirname "$0")/.."
calls=1000

command -v valgrind >/dev/null || { echo "icount.sh: valgrind is not installed" >&2; exit 2; }
cargo build -q --profile bench --bench icount
binary=$(cargo build -q --profile bench --bench icount --message-format=json \
    | sed -n 's/.*"executable":"\([^"]*icount-[^"]*\)".*/\1/p' | tail -n 1)
[ -x "$binary" ] || { echo "icount.sh: no icount binary was built" >&2; exit 2; }

# instructions CASE WHO: inside icount_CASE_WHO, per call.
instructions() {
    total=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        --toggle-collect="icount_$1_$2" "$binary" "$1" 2>&1 \
        | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
    # Nothing collected means that the name was not found, not that it is free.
    [ "${total:-0}" -gt 0 ] || { echo "icount.sh: icount_$1_$2 was never entered" >&2; exit 1; }
    awk -v total="$total" -v calls="$calls" 'BEGIN { printf "%.1f", total / calls }'
}

printf '%-22s %10s %12s %8s\n' "instructions" "ctxtree" "tokio-util" "ratio"
for case in derive wait poll cancel deadline move group groups; do
    case $case in
        derive) title="derive + drop" ;;
        wait) title="wait + poll + drop" ;;
        poll) title="is_cancelled" ;;
        cancel) title="cancel of one leaf" ;;
        deadline) title="with_timeout + drop" ;;
        move) title="set_deadline" ;;
        group) title="a task in a group" ;;
        groups) title="an empty group" ;;
    esac
    ours=$(instructions "$case" ours)
    peer=$(instructions "$case" peer)
    printf '%-22s %10s %12s %8s\n' "$title" "$ours" "$peer" \
        "$(awk -v a="$ours" -v b="$peer" 'BEGIN { printf "%.3f", a / b }')"
done
printf '%-22s %10s\n' "malloc + free + 2 RMW" "$(instructions derive floor)"
printf '%-22s %10s\n' "a task without one" "$(instructions group floor)"
