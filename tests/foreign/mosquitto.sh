#!/usr/bin/env bash
# mosquitto's clients against our broker over TCP and TLS, 5.0 and 3.1.1: QoS 0, 1, 2, retained messages, wills, resumed
# sessions, shared subscriptions, properties, large payloads.
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

cat >"$folder/rivulet.toml" <<'CONFIGURATION'
[[listener]]
transport = "tcp"
address = "127.0.0.1:0"
authentication = ["anonymous"]
acl = "open"

[[listener]]
transport = "tls"
acl = "open"
address = "127.0.0.1:0"
CONFIGURATION
"$rivulet" serve --config "$folder/rivulet.toml" --data-dir "$folder/data" --log info \
    >"$folder/out" 2>"$folder/log" &
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

port() { # transport
    grep -o "transport=$1 address=127\.0\.0\.1:[0-9]*" "$folder/log" | grep -o '[0-9]*$'
}
await port tcp >/dev/null
await port tls >/dev/null
certs=$folder/data/certs

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

scenarios() { # transport, version, options by which a client connects
    local transport=$1 version=$2 at=("${@:3}")
    publish=(mosquitto_pub -V "$version" "${at[@]}")
    subscribe=(timeout 20 mosquitto_sub -V "$version" "${at[@]}")

    for qos in 0 1 2; do
        topic="$transport/v$version/qos$qos"
        # The retained message that comes first says that the subscription is there.
        "${publish[@]}" -t "$topic" -m ready -r -q 1
        "${subscribe[@]}" -t "$topic" -q "$qos" -C 2 -F '%p %q %r' >"$folder/received" &
        subscriber=$!
        await grep -q ready "$folder/received"
        "${publish[@]}" -t "$topic" -m "hello" -q "$qos"
        wait "$subscriber" || true
        lower=$((qos < 1 ? qos : 1))
        expect "$transport V$version QoS $qos and a retained message" "ready $lower 1 hello $qos 0" \
            "$(tr '\n' ' ' <"$folder/received" | sed 's/ $//')"
    done

    "${publish[@]}" -t "$transport/v$version/qos1" -n -r -q 1
    expect "$transport V$version an empty retained message clears" "" \
        "$("${subscribe[@]}" -t "$transport/v$version/qos1" -W 1 2>/dev/null || true)"

    "${subscribe[@]}" -t "$transport/v$version/will" -C 1 -i "watcher-$transport-$version" >"$folder/received" &
    subscriber=$!
    await connected "watcher-$transport-$version"
    mosquitto_sub -V "$version" "${at[@]}" -t none -i "dying-$transport-$version" \
        --will-topic "$transport/v$version/will" --will-payload gone --will-qos 1 --will-retain &
    dying=$!
    await connected "dying-$transport-$version"
    kill -KILL "$dying"
    wait "$dying" 2>/dev/null || true
    wait "$subscriber" || true
    expect "$transport V$version a will when the client is killed" gone "$(cat "$folder/received")"

    stay=(-i "stays-$transport-$version" -c)
    if [ "$version" = 5 ]; then
        stay+=(-x 60)
    fi
    timeout 20 mosquitto_sub -V "$version" "${at[@]}" "${stay[@]}" -t "$transport/v$version/queue" -q 1 -E
    "${publish[@]}" -t "$transport/v$version/queue" -m waited -q 1
    expect "$transport V$version a session that stays keeps what comes meanwhile" waited \
        "$("${subscribe[@]}" "${stay[@]}" -t "$transport/v$version/queue" -q 1 -C 1)"

    head -c 900000 /dev/urandom >"$folder/large"
    "${publish[@]}" -t "$transport/v$version/large" -f "$folder/large" -r -q 1
    "${subscribe[@]}" -t "$transport/v$version/large" -C 1 -N >"$folder/received"
    expect "$transport V$version a large payload" "$(sha256sum <"$folder/large")" "$(sha256sum <"$folder/received")"

    if [ "$version" = 5 ]; then
        # What the publisher says of a message, and one of two subscribers of a group for each message.
        "${publish[@]}" -t "$transport/properties" -m told -r -q 1 -D publish content-type text/plain \
            -D publish response-topic answers -D publish correlation-data 7 -D publish user-property colour green
        expect "$transport V5 properties" "told text/plain answers 7 colour:green" \
            "$("${subscribe[@]}" -t "$transport/properties" -C 1 -F '%p %C %R %D %P')"

        members=()
        for member in 1 2; do
            timeout 20 mosquitto_sub -V 5 "${at[@]}" -i "member-$member-$transport" -q 1 -C 2 \
                -t "\$share/group/$transport/shared" -t "$transport/ready/$member" >"$folder/member-$member" &
            members+=($!)
            "${publish[@]}" -t "$transport/ready/$member" -m ready -r -q 1
            await grep -q ready "$folder/member-$member"
        done
        "${publish[@]}" -t "$transport/shared" -m one -q 1
        "${publish[@]}" -t "$transport/shared" -m two -q 1
        wait "${members[@]}" || true
        expect "$transport V5 a shared subscription" "one ready ready two" \
            "$(sort "$folder/member-1" "$folder/member-2" | tr '\n' ' ' | sed 's/ $//')"
    fi
}

for version in 5 311; do
    scenarios tcp "$version" -h 127.0.0.1 -p "$(port tcp)"
    scenarios tls "$version" -h 127.0.0.1 -p "$(port tls)" --cafile "$certs/ca.pem" \
        --cert "$certs/devices/demo.pem" --key "$certs/devices/demo.key"
done

stopped=0
kill -TERM "$broker"
wait "$broker" || stopped=$?
broker=
expect "TERM ends the broker in order" 0 "$stopped"
exit "$((failures > 0))"
