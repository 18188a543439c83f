// Pages in Chromium (playwright-core) and Firefox (puppeteer-core over WebDriver BiDi). Both kinds of
// page object have `goto`, `evaluate` and `close`, and nothing else is used.
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { until } from './call.mjs';

export function launchChromium(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-extensions',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--mute-audio',
      '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
      '--disable-backgrounding-occluded-windows',
      '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
      ...args,
    ],
  });
}

export function launchFirefox() {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    env: { ...process.env, MOZ_CRASHREPORTER_DISABLE: '1' },
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.autoplay.default': 0,
      'media.autoplay.blocking_policy': 0,
      'media.gmp-manager.updateEnabled': false,
      'media.gmp-provider.enabled': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'app.update.enabled': false,
      'app.normandy.enabled': false,
      'browser.safebrowsing.malware.enabled': false,
      'browser.safebrowsing.phishing.enabled': false,
      'datareporting.policy.dataSubmissionEnabled': false,
      'toolkit.telemetry.enabled': false,
      'extensions.update.enabled': false,
      'services.settings.server': 'data:,#remote-settings-dummy/v1',
    },
  });
}

// Somebody who uses the conference's page.
export class Visitor {
  constructor(name, page) {
    this.name = name;
    this.page = page;
  }

  // Enters a room by its link; the camera takes 360 lines.
  static async enter(browser, name, link) {
    const page = await browser.newPage();
    await page.goto(`${link}?video=360`);
    const visitor = new Visitor(name, page);
    await page.evaluate(name => {
      document.getElementById('name').value = name;
      document.getElementById('join').click();
    }, name);
    await until(`${name} is connected`, async () => (await visitor.status()) === 'Connected.', 40)
      .catch(async error => { throw new Error(`${error.message}; the page says: ${await visitor.status()}`); });
    return visitor;
  }

  status() {
    return this.page.evaluate(() => document.getElementById('status').textContent);
  }

  // What is received of a participant, by its name, with the counts so far.
  sample(other) {
    return this.page.evaluate(async other => {
      const stats = [...(await conference.peer?.getStats() ?? new Map()).values()];
      const tile = [...document.querySelectorAll('.tile:not(.own)')]
        .find(tile => tile.querySelector('.name').textContent === other);
      const stream = tile?.querySelector('video').srcObject;
      const inbound = (kind, track) => track
        && stats.find(s => s.type === 'inbound-rtp' && s.kind === kind && s.trackIdentifier === track.id);
      const video = inbound('video', stream?.getVideoTracks()[0]);
      const audio = inbound('audio', stream?.getAudioTracks()[0]);
      return {
        at: performance.now(),
        frames: video?.framesDecoded ?? 0,
        energy: audio?.totalAudioEnergy ?? 0,
        packets: audio?.packetsReceived ?? 0,
      };
    }, other);
  }

  // Watches a participant for some seconds: frames a second, and audio energy gained.
  async watch(other, seconds = 3) {
    await until(`${this.name} decodes ${other}`, async () => {
      const { frames, packets } = await this.sample(other);
      return frames > 0 && packets > 0;
    }, 30);
    const before = await this.sample(other);
    await new Promise(resolve => setTimeout(resolve, seconds * 1_000));
    const after = await this.sample(other);
    return {
      fps: (after.frames - before.frames) / (after.at - before.at) * 1_000,
      energy: after.energy - before.energy,
    };
  }

  // The path and ciphers of the call, as the browser tells.
  transport() {
    return this.page.evaluate(async () => {
      const stats = [...(await conference.peer.getStats()).values()];
      const transport = stats.find(({ type }) => type === 'transport');
      const chosen = stats.find(s => s.type === 'candidate-pair'
        && (transport?.selectedCandidatePairId ? s.id === transport.selectedCandidatePairId : s.selected || s.nominated));
      const [local, remote] = [chosen?.localCandidateId, chosen?.remoteCandidateId]
        .map(id => stats.find(s => s.id === id));
      return {
        tls: transport?.tlsVersion,
        cipher: transport?.srtpCipher,
        role: transport?.dtlsRole,
        protocol: local?.protocol,
        remote: remote && `${remote.address ?? remote.ip}:${remote.port}`,
        ufrag: conference.peer.remoteDescription?.sdp.match(/a=ice-ufrag:(\S+)/)?.[1],
      };
    });
  }
}

// A page that speaks WHIP or WHEP by itself: on the server's origin, without its script.
export class Caller {
  constructor(page) {
    this.page = page;
  }

  static async open(browser, server) {
    const page = await browser.newPage();
    await page.goto(server.url);
    return new Caller(page);
  }

  // Publishes camera and microphone, or views with a line of each kind.
  async join(endpoint, part) {
    await this.page.evaluate(async ([endpoint, part]) => {
      const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
      if (part === 'publish') {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { height: 360 } });
        for (const track of stream.getTracks()) peer.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
      } else {
        peer.ontrack = ({ track }) => {
          // Unmuted: the energy of a muted element's sound is not counted.
          const element = document.createElement(track.kind);
          element.srcObject = new MediaStream([track]);
          element.autoplay = true;
          document.body.append(element);
        };
        for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
      }
      const gathered = [];
      peer.onicecandidate = ({ candidate }) => { if (candidate?.candidate) gathered.push(candidate.candidate); };
      await peer.setLocalDescription();
      const headers = { 'content-type': 'application/sdp' };
      const body = peer.localDescription.sdp;
      const response = await fetch(endpoint, { method: 'POST', headers, body });
      if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
      const answer = await response.text();
      await peer.setRemoteDescription({ type: 'answer', sdp: answer });
      const [session, tag] = ['location', 'etag'].map(name => response.headers.get(name));
      Object.assign(window, { call: { peer, session, tag, answer, gathered } });
    }, [endpoint, part]);
  }

  // One PATCH with these lines; resolves to status, tag and body.
  patch(match, lines) {
    return this.page.evaluate(async ([match, lines]) => {
      const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': match ?? call.tag };
      const body = lines.map(line => `${line}\r\n`).join('');
      const response = await fetch(call.session, { method: 'PATCH', headers, body });
      return { status: response.status, tag: response.headers.get('etag'), body: await response.text() };
    }, [match, lines]);
  }

  gathered() {
    return this.page.evaluate(() => call.gathered);
  }

  // Restarts ICE: new credentials of ours, and the server's put into its answer.
  async restart() {
    const lines = await this.page.evaluate(async () => {
      call.peer.restartIce();
      await call.peer.setLocalDescription();
      return call.peer.localDescription.sdp.split('\r\n').filter(line => /^a=ice-(ufrag|pwd):/.test(line));
    });
    const reply = await this.patch('*', lines);
    if (reply.status !== 200) throw new Error(`restart: ${reply.status} ${reply.body}`);
    await this.page.evaluate(async ({ tag, body }) => {
      call.tag = tag;
      for (const name of ['ice-ufrag', 'ice-pwd']) {
        const line = body.match(new RegExp(`a=${name}:\\S+`))[0];
        call.answer = call.answer.replace(new RegExp(`a=${name}:\\S+`, 'g'), line);
      }
      await call.peer.setRemoteDescription({ type: 'answer', sdp: call.answer });
    }, reply);
    return reply;
  }

  leave() {
    return this.page.evaluate(async () => {
      // In this order: closing says goodbye by DTLS, which ends the session as well.
      const { status } = await fetch(call.session, { method: 'DELETE' });
      call.peer.close();
      return status;
    });
  }

  // What is received and sent so far, and how.
  sample() {
    return this.page.evaluate(async () => {
      const stats = [...(await call.peer.getStats()).values()];
      const of = (type, kind) => stats.find(s => s.type === type && s.kind === kind);
      const transport = stats.find(({ type }) => type === 'transport');
      const pair = stats.find(({ id }) => id === transport?.selectedCandidatePairId);
      return {
        state: call.peer.connectionState,
        frames: of('inbound-rtp', 'video')?.framesDecoded ?? 0,
        energy: of('inbound-rtp', 'audio')?.totalAudioEnergy ?? 0,
        tls: transport?.tlsVersion,
        cipher: transport?.srtpCipher,
        pair: pair?.id,
        changes: transport?.selectedCandidatePairChanges,
        ufrag: transport?.iceLocalUsernameFragment,
      };
    });
  }
}
