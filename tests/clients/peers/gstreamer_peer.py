#!/usr/bin/env python3
"""GStreamer's webrtcbin as one peer of a call: sends, or receives and decodes. Needs the system's Python.

usage: gstreamer_peer.py publish|view PEM|rsa
Says {"offer": sdp} on stdout, takes {"answer": sdp} on stdin, then says {"stats": {...}} every second.
PEM is a file with a key and a certificate that DTLS is to use; "rsa" leaves it to GStreamer, which
makes one with an RSA key.
"""
import hashlib
import json
import re
import ssl
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

Gst.init(None)
part, pem = sys.argv[1], sys.argv[2]
pem = None if pem == "rsa" else open(pem, encoding="ascii").read()
seen = {"video": 0, "audio": 0, "level": 0.0, "state": "new"}


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


pipeline = Gst.Pipeline.new("peer")
web = Gst.ElementFactory.make("webrtcbin", "web")
web.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
pipeline.add(web)
VIDEO = "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000"
AUDIO = "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2"


def certify(_, __, element):
    """The certificate is a property of each DTLS decoder, to be set before its handshake."""
    factory = element.get_factory()
    if pem and factory and factory.get_name() == "dtlsdec":
        element.set_property("pem", pem)


def with_fingerprint(sdp):
    """webrtcbin hashes all of a PEM text that it was given, the key too; the certificate alone is meant."""
    if not pem:
        return sdp
    certificate = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.S)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate[0])).hexdigest().upper()
    pairs = ":".join(re.findall("..", digest))
    return re.sub(r"a=fingerprint:\S+ [0-9A-Fa-f:]+", f"a=fingerprint:sha-256 {pairs}", sdp)


def send(description):
    branch = Gst.parse_bin_from_description(description, True)
    pipeline.add(branch)
    branch.get_static_pad("src").link(web.request_pad_simple("sink_%u"))


def receive(caps):
    web.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))


def on_pad(_, pad):
    if pad.direction != Gst.PadDirection.SRC:
        return
    kind = (pad.get_current_caps() or pad.query_caps(None)).get_structure(0).get_string("media")
    chain = {
        "video": "queue ! rtpvp8depay ! vp8dec ! fakesink name=end sync=false signal-handoffs=true",
        "audio": "queue ! rtpopusdepay ! opusdec ! level interval=500000000 ! fakesink name=end sync=false signal-handoffs=true",
    }[kind]
    branch = Gst.parse_bin_from_description(chain, True)

    def count(*_):
        seen[kind] += 1

    branch.get_by_name("end").connect("handoff", count)
    pipeline.add(branch)
    branch.sync_state_with_parent()
    pad.link(branch.get_static_pad("sink"))


def on_level(_, message):
    structure = message.get_structure()
    if structure and structure.get_name() == "level":
        # Decibels below full scale, as amplitude of 16 bits.
        seen["level"] = max(seen["level"], 32_768 * 10 ** (structure.get_value("rms")[0] / 20))


def then(act):
    return Gst.Promise.new_with_change_func(lambda promise, *_: act(promise.get_reply()), None)


def on_offer(reply):
    web.emit("set-local-description", reply.get_value("offer"), then(lambda _: None))


def on_gathering(*_):
    if web.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        say({"offer": with_fingerprint(web.get_property("local-description").sdp.as_text())})


def on_state(*_):
    seen["state"] = web.get_property("connection-state").value_nick


def tell():
    say({"stats": seen})
    seen["level"] = 0.0
    return True


def listen():
    for line in sys.stdin:
        _, sdp = GstSdp.SDPMessage.new_from_text(json.loads(line)["answer"])
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        web.emit("set-remote-description", answer, then(lambda _: None))
    loop.quit()


web.connect("deep-element-added", certify)
web.connect("pad-added", on_pad)
web.connect("notify::ice-gathering-state", on_gathering)
web.connect("notify::connection-state", on_state)
pipeline.set_state(Gst.State.READY)
if part == "publish":
    send("videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert "
         "! vp8enc deadline=1 target-bitrate=200000 keyframe-max-dist=60 ! rtpvp8pay picture-id-mode=2 pt=96 "
         f"! {VIDEO} ! identity")
    send("audiotestsrc is-live=true wave=sine ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=111 "
         f"! {AUDIO} ! identity")
    for index in range(2):
        line = web.emit("get-transceiver", index)
        line.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
else:
    receive(AUDIO)
    receive(VIDEO)
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message::element", on_level)
bus.connect("message::error", lambda _, message: say({"error": str(message.parse_error())}))
pipeline.set_state(Gst.State.PLAYING)
GLib.timeout_add(300, lambda: web.emit("create-offer", None, then(on_offer)) and False)
GLib.timeout_add(1_000, tell)
loop = GLib.MainLoop()
threading.Thread(target=listen, daemon=True).start()
loop.run()
pipeline.set_state(Gst.State.NULL)
