"""paho-mqtt against a broker that is there: `clients.py URL…`, each URL with 5.0 and 3.1.1.

Asserts every scenario; ends with 1 at the first that fails.
"""

import os
import queue
import socket
import sys
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE_S = 15
LARGE = 900_000


class Client:
    """A client that waits for each answer, with one bound."""

    def __init__(self, url, version, identifier="", stays=False, will=None):
        at = urlsplit(url)
        self.version = version
        five = version == mqtt.MQTTv5
        clean = {} if five else {"clean_session": not stays}
        transport = "websockets" if at.scheme == "ws" else "tcp"
        self.inner = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, identifier, protocol=version, transport=transport, **clean
        )
        if transport == "websockets":
            self.inner.ws_set_options(path=at.path)
        if will:
            self.inner.will_set(will, "gone", qos=1)
        self.inbox, self.answers = queue.Queue(), queue.Queue()
        self.inner.on_message = lambda _c, _u, message: self.inbox.put(message)
        self.inner.on_connect = lambda _c, _u, flags, code, _p: self.answers.put((flags, code))
        self.inner.on_subscribe = lambda _c, _u, _m, codes, _p: self.answers.put(codes)
        self.inner.on_unsubscribe = lambda _c, _u, _m, codes, _p: self.answers.put(codes)
        self.inner.on_disconnect = lambda *_: self.answers.put("gone")
        more = {}
        if five:
            more["clean_start"] = not stays
            if stays:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = 60
        self.inner.connect(at.hostname, at.port, **more)
        self.inner.loop_start()
        flags, code = self.answers.get(timeout=PATIENCE_S)
        assert not code.is_failure, code
        self.present = flags.session_present

    def subscribe(self, topic, qos=1, properties=None):
        if self.version == mqtt.MQTTv5:
            self.inner.subscribe(topic, options=SubscribeOptions(qos=qos), properties=properties)
        else:
            self.inner.subscribe(topic, qos)
        codes = self.answers.get(timeout=PATIENCE_S)
        assert [code.value for code in codes] == [qos], codes

    def unsubscribe(self, topic):
        self.inner.unsubscribe(topic)
        self.answers.get(timeout=PATIENCE_S)

    def publish(self, topic, payload, qos=1, **more):
        sent = self.inner.publish(topic, payload, qos, **more)
        sent.wait_for_publish(PATIENCE_S)
        assert sent.is_published(), topic

    def next(self):
        return self.inbox.get(timeout=PATIENCE_S)

    def close(self):
        self.inner.disconnect()
        assert self.answers.get(timeout=PATIENCE_S) == "gone"
        self.inner.loop_stop()


def levels(opened, prefix):
    """QoS 0, 1 and 2 come back with topic, payload and level"""
    client = opened()
    for qos in range(3):
        topic = f"{prefix}/qos{qos}"
        client.subscribe(topic, qos)
        client.publish(topic, f"hello {qos}", qos)
        got = client.next()
        assert (got.topic, got.payload, got.qos) == (topic, f"hello {qos}".encode(), qos), got
    client.close()


def retained(opened, prefix):
    """a retained message waits, until an empty one takes it away"""
    client, topic = opened(), f"{prefix}/retained"
    client.publish(topic, "kept", retain=True)
    client.subscribe(topic)
    got = client.next()
    assert (got.payload, got.retain) == (b"kept", True), got
    client.unsubscribe(topic)
    client.publish(topic, b"", retain=True)
    client.subscribe(topic)
    client.publish(topic, "live")
    got = client.next()
    assert (got.payload, got.retain) == (b"live", False), got
    client.close()


def will(opened, prefix):
    """a will is published for a client that vanishes"""
    topic = f"{prefix}/will"
    watcher = opened()
    watcher.subscribe(topic)
    dying = opened(will=topic)
    # By its descriptor, as the client wraps the socket for WebSocket.
    with socket.socket(fileno=os.dup(dying.inner.socket().fileno())) as below:
        below.shutdown(socket.SHUT_RDWR)
    assert watcher.next().payload == b"gone"
    dying.inner.loop_stop()
    watcher.close()


def resumed(opened, prefix):
    """a session keeps what came while its client was away"""
    identifier, topic = "stays-" + prefix.replace("/", "-"), f"{prefix}/queue"
    first = opened(identifier=identifier, stays=True)
    first.subscribe(topic)
    first.close()
    other = opened()
    other.publish(topic, "waited")
    again = opened(identifier=identifier, stays=True)
    assert again.present
    assert again.next().payload == b"waited"
    again.close()
    other.close()


def large(opened, prefix):
    """a payload of 900,000 bytes comes back whole, at each QoS"""
    client, payload = opened(), os.urandom(LARGE)
    for qos in range(3):
        client.subscribe(f"{prefix}/large{qos}", qos)
        client.publish(f"{prefix}/large{qos}", payload, qos)
        assert client.next().payload == payload, qos
    client.close()


def told(opened, prefix):
    """properties arrive"""
    client, topic = opened(), f"{prefix}/told"
    identified = Properties(PacketTypes.SUBSCRIBE)
    identified.SubscriptionIdentifier = 7
    client.subscribe(topic, properties=identified)
    said = Properties(PacketTypes.PUBLISH)
    said.PayloadFormatIndicator = 1
    said.ContentType = "text/plain"
    said.ResponseTopic = "answers"
    said.CorrelationData = b"\x00\x01\x02"
    said.UserProperty = [("colour", "green"), ("colour", "blue")]
    client.publish(topic, "told", properties=said)
    expected = {**said.json(), "SubscriptionIdentifier": [7]}
    got = client.next().properties.json()
    assert got == expected, (got, expected)
    client.close()


def shared(opened, prefix):
    """a shared subscription: each message to one member"""
    members, publisher = [opened(), opened()], opened()
    for member in members:
        member.subscribe(f"$share/group/{prefix}/shared")
    for at in range(10):
        publisher.publish(f"{prefix}/shared", str(at))
    # round_robin: five each.
    got = [int(member.next().payload) for member in members for _ in range(5)]
    assert sorted(got) == list(range(10)), got
    for client in [*members, publisher]:
        client.close()


IN_BOTH = [levels, retained, will, resumed, large]
IN_FIVE = [told, shared]

for url in sys.argv[1:]:
    transport = urlsplit(url).scheme
    for version, name, scenarios in [
        (mqtt.MQTTv5, "5.0", IN_BOTH + IN_FIVE),
        (mqtt.MQTTv311, "3.1.1", IN_BOTH),
    ]:
        for scenario in scenarios:
            what = f"paho-mqtt {transport} {name}: {scenario.__doc__}"
            try:
                scenario(lambda **more: Client(url, version, **more), f"paho/{transport}/{name}")
            except Exception:
                print(f"FAILED: {what}", file=sys.stderr)
                raise
            print(f"ok: {what}", flush=True)
