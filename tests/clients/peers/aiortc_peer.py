#!/usr/bin/env python3
"""aiortc as one peer of a call: sends, or receives and decodes.

usage: aiortc_peer.py publish|view [cm|gcm]
Says {"offer": sdp} on stdout, takes {"answer": sdp} on stdin, then says {"stats": {...}} every second:
frames of video and audio decoded, and the level of the sound where it was loudest in that second.
With cm or gcm it offers that SRTP profile alone.
"""
import array
import asyncio
import fractions
import json
import math
import sys

import av
from aiortc import RTCPeerConnection, RTCSessionDescription, rtcdtlstransport
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack

PROFILES = {"cm": b"SRTP_AES128_CM_SHA1_80", "gcm": b"SRTP_AEAD_AES_128_GCM"}


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Tone(AudioStreamTrack):
    """A sine of 440 Hz: aiortc's own track is silent."""

    phase = 0

    async def recv(self):
        frame = await super().recv()
        count, rate = frame.samples, frame.sample_rate
        angle = 2 * math.pi * 440 / rate
        samples = array.array("h", (int(8_000 * math.sin(angle * (self.phase + n))) for n in range(count)))
        self.phase += count
        tone = av.AudioFrame(format="s16", layout="mono", samples=count)
        tone.planes[0].update(samples.tobytes())
        tone.sample_rate, tone.pts = rate, frame.pts
        tone.time_base = fractions.Fraction(1, rate)
        return tone


class Picture(VideoStreamTrack):
    """A picture that moves: the track of aiortc is one green still."""

    count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        self.count += 1
        at = self.count * 4 % 280
        row = bytes(at).ljust(at + 40, b"\xeb").ljust(320, b"\0")
        frame = av.VideoFrame(320, 240, "yuv420p")
        for plane, size in zip(frame.planes, (320, 160, 160)):
            line = row if size == 320 else b"\x80" * size
            plane.update(line.ljust(plane.line_size, b"\0") * (plane.buffer_size // plane.line_size))
        frame.pts, frame.time_base = pts, time_base
        return frame


async def main(part, profile):
    if profile:
        wanted = PROFILES[profile]
        rtcdtlstransport.SRTP_PROFILES[:] = [
            known for known in rtcdtlstransport.SRTP_PROFILES if known.openssl_profile == wanted
        ]
        assert rtcdtlstransport.SRTP_PROFILES, "this aiortc has no such profile"
    peer = RTCPeerConnection()
    seen = {"video": 0, "audio": 0, "level": 0.0}

    @peer.on("track")
    def on_track(track):
        async def watch():
            try:
                while True:
                    frame = await track.recv()
                    seen[track.kind] += 1
                    if track.kind == "audio":
                        samples = array.array("h", bytes(frame.planes[0]))
                        level = sum(map(abs, samples)) / len(samples)
                        seen["level"] = max(seen["level"], level)
            except MediaStreamError:
                pass

        asyncio.ensure_future(watch())

    if part == "publish":
        peer.addTrack(Tone())
        peer.addTrack(Picture())
    else:
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
    for transceiver in peer.getTransceivers():
        transceiver.direction = "sendonly" if part == "publish" else "recvonly"
    await peer.setLocalDescription(await peer.createOffer())
    say({"offer": peer.localDescription.sdp})

    lines = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    answer = json.loads(await lines.readline())["answer"]
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def tell():
        while True:
            await asyncio.sleep(1)
            sent = 0
            for report in (await peer.getStats()).values():
                if report.type == "outbound-rtp":
                    sent += report.packetsSent
            say({"stats": {**seen, "sent": sent, "state": peer.connectionState, "cipher": profile and PROFILES[profile].decode()}})
            seen["level"] = 0.0

    telling = asyncio.ensure_future(tell())
    await lines.readline()  # anything, or the end: the test is done
    telling.cancel()
    await peer.close()


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
