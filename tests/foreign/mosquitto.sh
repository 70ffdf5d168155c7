#!/usr/bin/env bash
# mosquitto's clients against our broker over TCP: QoS 0, 1, 2, retained messages, wills, resumed sessions, 5.0 and 3.1.1.
#
#   tests/foreign/mosquitto.sh [PATH/TO/rivulet]
#
# Starts a broker of its own on a free port. Says so and succeeds where mosquitto_pub is not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v mosquitto_pub >/dev/null || ! command -v mosquitto_sub >/dev/null; then
    echo "left out: mosquitto_pub and mosquitto_sub are not installed (Debian: mosquitto-clients)"
    exit 0
fi

rivulet=${1:-}
if [ -z "$rivulet" ]; then
    cargo build --quiet --package rivulet-broker
    rivulet=${CARGO_TARGET_DIR:-target}/debug/rivulet
fi

folder=$(mktemp -d)
broker=
finish() {
    if [ -n "$broker" ]; then
        kill "$broker" 2>/dev/null || true
        wait "$broker" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap finish EXIT

RIVULET__LISTENER__0__ADDRESS=127.0.0.1:0 RIVULET__LISTENER__1__ADDRESS=127.0.0.1:0 \
    "$rivulet" serve --data-dir "$folder/data" --log info >"$folder/out" 2>"$folder/log" &
broker=$!

# Waits until a command succeeds, for ten seconds.
await() {
    local _
    for _ in $(seq 200); do
        if "$@" 2>/dev/null; then
            return 0
        fi
        sleep 0.05
    done
    echo "FAILED: in vain: $*" >&2
    cat "$folder/log" >&2
    exit 1
}

port() {
    grep -o 'transport=tcp address=127\.0\.0\.1:[0-9]*' "$folder/log" | grep -o '[0-9]*$'
}
await port >/dev/null
at=(-h 127.0.0.1 -p "$(port)")

failures=0
expect() { # what, expected, received
    if [ "$2" = "$3" ]; then
        echo "ok: $1"
    else
        echo "FAILED: $1: expected '$2', received '$3'"
        failures=$((failures + 1))
    fi
}

connected() { # client identifier
    grep -q "connected client=\"$1\"" "$folder/log"
}

for version in 5 311; do
    publish=(mosquitto_pub -V "$version" "${at[@]}")
    subscribe=(timeout 20 mosquitto_sub -V "$version" "${at[@]}")

    for qos in 0 1 2; do
        topic="v$version/qos$qos"
        # The retained message that comes first says that the subscription is there.
        "${publish[@]}" -t "$topic" -m ready -r -q 1
        "${subscribe[@]}" -t "$topic" -q "$qos" -C 2 -F '%p %q %r' >"$folder/received" &
        subscriber=$!
        await grep -q ready "$folder/received"
        "${publish[@]}" -t "$topic" -m "hello" -q "$qos"
        wait "$subscriber" || true
        lower=$((qos < 1 ? qos : 1))
        expect "V$version QoS $qos and a retained message" "ready $lower 1 hello $qos 0" \
            "$(tr '\n' ' ' <"$folder/received" | sed 's/ $//')"
    done

    "${publish[@]}" -t "v$version/qos1" -n -r -q 1
    expect "V$version an empty retained message clears" "" \
        "$("${subscribe[@]}" -t "v$version/qos1" -W 1 2>/dev/null || true)"

    "${subscribe[@]}" -t "v$version/will" -C 1 -i "watcher-$version" >"$folder/received" &
    subscriber=$!
    await connected "watcher-$version"
    mosquitto_sub -V "$version" "${at[@]}" -t none -i "dying-$version" \
        --will-topic "v$version/will" --will-payload gone --will-qos 1 --will-retain &
    dying=$!
    await connected "dying-$version"
    kill -KILL "$dying"
    wait "$dying" 2>/dev/null || true
    wait "$subscriber" || true
    expect "V$version a will when the client is killed" gone "$(cat "$folder/received")"

    stay=(-i "stays-$version" -c)
    if [ "$version" = 5 ]; then
        stay+=(-x 60)
    fi
    timeout 20 mosquitto_sub -V "$version" "${at[@]}" "${stay[@]}" -t "v$version/queue" -q 1 -E
    "${publish[@]}" -t "v$version/queue" -m waited -q 1
    expect "V$version a session that stays keeps what comes meanwhile" waited \
        "$("${subscribe[@]}" "${stay[@]}" -t "v$version/queue" -q 1 -C 1)"

    head -c 500000 /dev/urandom >"$folder/large"
    "${publish[@]}" -t "v$version/large" -f "$folder/large" -r -q 1
    "${subscribe[@]}" -t "v$version/large" -C 1 -N >"$folder/received"
    expect "V$version a large payload" "$(sha256sum <"$folder/large")" "$(sha256sum <"$folder/received")"
done

stopped=0
kill -TERM "$broker"
wait "$broker" || stopped=$?
broker=
expect "TERM ends the broker in order" 0 "$stopped"
exit "$((failures > 0))"
