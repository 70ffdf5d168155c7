# Sourced: starts a broker with a TCP and a WebSocket listener on free ports, and ends it with the script.
# Sets tcp_url and ws_url.
#
#   source broker.sh PATH/TO/rivulet

folder=$(mktemp -d)
cat >"$folder/rivulet.toml" <<'CONFIGURATION'
[[listener]]
transport = "tcp"
address = "127.0.0.1:0"
authentication = ["anonymous"]
acl = "open"

[[listener]]
transport = "ws"
address = "127.0.0.1:0"
authentication = ["anonymous"]
acl = "open"
CONFIGURATION
"$1" serve --config "$folder/rivulet.toml" --data-dir "$folder/data" --log info >"$folder/out" 2>"$folder/log" &
broker=$!
trap 'kill "$broker" 2>/dev/null || true; wait "$broker" 2>/dev/null || true; rm -rf "$folder"' EXIT

address() { # transport
    sed -n "s/.*transport=$1 address=\([0-9.:]*\).*/\1/p" "$folder/log"
}
for _ in $(seq 200); do
    if [ -n "$(address tcp)" ] && [ -n "$(address ws)" ]; then break; fi
    sleep 0.05
done
if [ -z "$(address ws)" ]; then
    cat "$folder/log" >&2
    exit 1
fi
tcp_url=mqtt://$(address tcp)
ws_url=ws://$(address ws)/mqtt
