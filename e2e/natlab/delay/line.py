"""The wires of the internet core: a packet that crosses the core waits here, or is lost.

    line.py DEVICE SEED

Works on the TUN device DEVICE, to which the core routes whatever comes in from a leg; what is written back to it goes
on to the leg that it is for. Commands come on standard input, one JSON object per line:

    {"leg": "a", "networks": ["198.51.100.1", "2001:db8:1::/64"], "up": QUALITY, "down": QUALITY}

`up` is the direction into the core. QUALITY is LinkQuality in e2e/topology/behavior.ts: milliseconds and probabilities.
Every line is answered by one; ends with its standard input.
"""

import fcntl
import heapq
import ipaddress
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

UDP = 17
MAGIC_COOKIE = bytes.fromhex("2112a442")

REORDER_DELAY = 0.060
DUPLICATE_DELAY = 0.001


class Direction:
    """One direction of one leg."""

    def __init__(self, chance):
        self.chance = chance
        self.last = 0.0
        # A change is due at once: whoever looks first ends an imagined burst of before.
        self.in_burst = True
        self.next_change = 0.0
        self.set({})

    def set(self, quality):
        self.latency = quality.get("latency", 0) / 1000
        self.jitter = quality.get("jitter", 0) / 1000
        self.loss = quality.get("loss", 0)
        self.bursts = quality.get("bursts")
        self.duplicate = quality.get("duplicate", 0)
        self.reorder = quality.get("reorder", 0)
        self.mtu = quality.get("mtu", 65535)
        self.drops = quality.get("drops")

    def carry(self, entry, packet):
        """When a packet that enters at `entry` comes out: never, once or twice."""
        if self.loses(entry, packet):
            return ()
        soonest = entry + self.latency + self.jitter * self.chance.random()
        if self.reorder and self.chance.random() < self.reorder:
            return (soonest + REORDER_DELAY,)
        # A queue and no lottery: jitter alone keeps the order.
        self.last = arrival = max(self.last, soonest)
        if self.duplicate and self.chance.random() < self.duplicate:
            return (arrival, arrival + DUPLICATE_DELAY)
        return (arrival,)

    def loses(self, entry, packet):
        if self.drops == "all" or len(packet) > self.mtu or self.drops == "data" and is_data(packet):
            return True
        if self.loss and self.chance.random() < self.loss:
            return True
        return bool(self.bursts) and self.is_burst(entry) and self.chance.random() < self.bursts["loss"]

    def is_burst(self, now):
        if self.next_change == 0.0:
            self.next_change = now
        while self.next_change <= now:
            self.in_burst = not self.in_burst
            mean = self.bursts["lasting" if self.in_burst else "every"] / 1000
            self.next_change += self.chance.expovariate(1 / mean)
        return self.in_burst


class Line:
    def __init__(self, device, seed):
        self.tun = open_tun(device)
        self.seed = seed
        self.legs = {}
        self.by_address = {}
        self.flying = []
        self.count = 0

    def command(self, text):
        order = json.loads(text)
        name = order["leg"]
        if name not in self.legs:
            # A generator of its own for each, so that traffic on one leg changes nothing on another.
            chance = random.Random(f"{self.seed} {name}")
            self.legs[name] = (Direction(chance), Direction(chance))
        leg = self.legs[name]
        for network in order.get("networks", []):
            self.by_address[key_of(network)] = leg
        for direction, quality in zip(leg, (order.get("up"), order.get("down"))):
            if quality is not None:
                direction.set(quality)

    def take(self, packet, now):
        source, destination = addresses(packet)
        up, down = self.leg_of(source), self.leg_of(destination)
        if up is None or down is None:
            return
        for middle in up[0].carry(now, packet):
            for arrival in down[1].carry(middle, packet):
                self.count += 1
                heapq.heappush(self.flying, (arrival, self.count, packet))

    def leg_of(self, address):
        leg = self.by_address.get(address)
        return leg if leg is not None or len(address) == 4 else self.by_address.get(address[:8])

    def deliver(self, now):
        while self.flying and self.flying[0][0] <= now:
            packet = heapq.heappop(self.flying)[2]
            try:
                os.write(self.tun, packet)
            except OSError:
                pass  # The device is full, or down: a loss like any other.

    def run(self):
        while True:
            wait = max(0, self.flying[0][0] - time.monotonic()) if self.flying else None
            ready, _, _ = select.select([self.tun, 0], [], [], wait)
            if 0 in ready and not self.read_commands():
                return
            if self.tun in ready:
                self.read_packets()
            self.deliver(time.monotonic())

    def read_commands(self):
        lines = os.read(0, 1 << 16)
        while lines and not lines.endswith(b"\n"):
            lines += os.read(0, 1 << 16)
        for text in lines.splitlines():
            self.command(text)
        if lines:
            print("ok", flush=True)
        return bool(lines)

    def read_packets(self):
        try:
            while True:
                self.take(os.read(self.tun, 65535), time.monotonic())
        except BlockingIOError:
            pass


def open_tun(device):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def key_of(network):
    """IPv4 address, IPv6 address, or the first half of an IPv6 /64."""
    if network.endswith("/64"):
        return ipaddress.ip_network(network).network_address.packed[:8]
    return ipaddress.ip_address(network).packed


def addresses(packet):
    return (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])


def is_data(packet):
    """UDP that is no STUN (RFC 7983): the first byte of a STUN message is 0 to 3, and the magic cookie follows."""
    four = packet[0] >> 4 == 4
    protocol, start = (packet[9], (packet[0] & 15) * 4) if four else (packet[6], 40)
    payload = packet[start + 8 :]
    return protocol == UDP and not (payload[:1] < b"\x04" and payload[4:8] == MAGIC_COOKIE)


if __name__ == "__main__":
    Line(sys.argv[1], sys.argv[2]).run()
