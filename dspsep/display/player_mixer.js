// The sound of a player: all of its sounds in one clock and one mixer, and what is set in it. Nothing here is
// seen; `show` is called whenever something changed. It loads nothing and keeps nothing.
"use strict";

class DspsepMixer {
  static SILENT_DB = -60; // the lower end of a fader
  static LEAD = 0.02; // seconds from a decision to its start
  static RAMP = 0.01; // seconds from one gain to the next
  static SHORTEST_LOOP = 0.05;
  static all = [];
  static used = null; // the player that keys go to when nothing has the focus

  constructor(section) {
    this.section = section;
    this.rate = Number(section.dataset.rate);
    this.length = Number(section.dataset.samples);
    this.duration = this.length / this.rate;
    this.strips = [...section.querySelectorAll(".dspsep-strip")].map((article) => this.read(article));
    this.groups = [...section.querySelectorAll(".dspsep-group")];
    this.sources = this.strips.filter((strip) => strip.role === "source");
    for (const strip of this.strips) {
      for (const index of (strip.article.dataset.of ?? "").split(" ").filter(Boolean)) {
        const source = this.strips[Number(index)];
        if (source.reference) continue; // a second one is heard alone
        source.reference = strip;
        strip.belongs = true;
      }
    }
    // What is no source is heard alone, unless it is the reference of one.
    this.others = this.strips.filter((strip) => strip.role !== "source" && !strip.belongs);
    this.mixture = this.others.find((strip) => strip.role === "mixture") ?? null;
    Object.assign(this, { playing: false, offset: 0, started: 0, loop: false, from: 0, to: this.duration });
    this.alone = this.sources.length ? null : this.others[0];
    this.group = this.groups[0] ?? null;
    this.voices = [];
  }

  read(article) {
    return {
      article,
      role: article.dataset.role,
      audio: article.querySelector("audio"),
      name: article.querySelector("bdi").textContent,
      group: article.closest(".dspsep-group"),
      reference: null,
      solo: false,
      mute: false,
      db: 0,
      atReference: false,
    };
  }

  // ---- sound

  load() {
    this.loading ??= Promise.all(
      this.strips.map((strip) => DspsepMixer.decode(strip.audio.getAttribute("src"), this.rate, this.length)),
    ).then((buffers) => {
      this.buffers = buffers;
    });
    return this.loading;
  }

  current(strip) {
    return strip.group === null || strip.group === this.group;
  }

  // The gain of each strip: the mixture or the sources, as solo, mute, faders and A/B have it.
  gains() {
    const gains = this.strips.map(() => 0);
    const add = (strip, gain) => {
      gains[this.strips.indexOf(strip)] += gain;
    };
    if (this.alone) {
      add(this.alone, 1);
      return gains;
    }
    const sources = this.sources.filter((strip) => this.current(strip));
    const soloed = sources.some((strip) => strip.solo);
    for (const strip of sources) {
      const isHeard = strip.db > DspsepMixer.SILENT_DB && (soloed ? strip.solo : !strip.mute);
      if (isHeard) add(strip.atReference ? strip.reference : strip, 10 ** (strip.db / 20));
    }
    return gains;
  }

  // The same mixer in the audio hardware's time and, for `render`, in no time.
  mixer(context) {
    const output = context.createGain();
    output.connect(context.destination);
    const gains = this.gains().map((value) => {
      const gain = context.createGain();
      gain.gain.value = value;
      gain.connect(output);
      return gain;
    });
    return { context, output, gains };
  }

  voicesOf(mixer, when, offset) {
    return this.buffers.map((buffer, index) => {
      const voice = mixer.context.createBufferSource();
      voice.buffer = buffer;
      Object.assign(voice, { loop: this.loop, loopStart: this.from, loopEnd: this.to });
      voice.connect(mixer.gains[index]);
      voice.start(when, offset);
      return voice;
    });
  }

  sample(seconds) {
    return Math.round(seconds * this.rate) / this.rate;
  }

  position() {
    if (!this.playing) return this.offset;
    const at = this.offset + Math.max(0, this.live.context.currentTime - this.started);
    if (this.loop && at >= this.to) return this.from + ((at - this.to) % (this.to - this.from));
    return Math.min(at, this.duration);
  }

  async play() {
    for (const other of DspsepMixer.all) if (other !== this) other.pause();
    DspsepMixer.used = this;
    if (this.playing || this.waiting) return;
    this.waiting = true;
    this.busy(true);
    try {
      this.live ??= this.mixer(new AudioContext({ sampleRate: this.rate }));
      await Promise.all([this.live.context.resume(), this.load()]);
    } catch (error) {
      this.giveUp();
      return;
    } finally {
      this.busy(false);
    }
    if (!this.waiting) return; // paused while it was decoding
    this.waiting = false;
    if (this.offset >= this.duration) this.offset = 0;
    this.playing = true;
    this.run(this.offset, this.live.context.currentTime);
    this.show();
  }

  // Let all voices begin at one sample, where those that sounded end.
  run(offset, now) {
    const when = Math.ceil((now + DspsepMixer.LEAD) * this.rate) / this.rate;
    if (this.loop && offset >= this.to) offset = this.from;
    this.stop(when);
    this.offset = Math.min(this.sample(offset), this.duration);
    this.started = when;
    this.voices = this.voicesOf(this.live, when, this.offset);
    const [first] = this.voices;
    if (first)
      first.onended = () => {
        if (first === this.voices[0]) this.pause(this.duration);
      };
  }

  stop(when) {
    for (const voice of this.voices) {
      voice.onended = null;
      voice.stop(when);
    }
    this.voices = [];
  }

  pause(at = this.position()) {
    this.waiting = false;
    if (!this.playing) return;
    this.offset = at;
    this.playing = false;
    this.stop(0);
    this.show();
  }

  toggle() {
    return this.playing || this.waiting ? this.pause() : this.play();
  }

  seek(seconds) {
    const at = Math.min(Math.max(this.sample(seconds), 0), this.duration);
    if (this.playing) this.run(at, this.live.context.currentTime);
    else this.offset = at;
    this.show();
  }

  // After a change of the loop: from where it is, in the new loop.
  setLoop(on, from = this.from, to = this.to) {
    const at = this.position();
    [from, to] = [this.sample(from), this.sample(to)];
    Object.assign(this, to - from >= DspsepMixer.SHORTEST_LOOP ? { from, to } : { from: 0, to: this.duration });
    this.loop = on;
    if (this.playing) this.run(at + DspsepMixer.LEAD, this.live.context.currentTime);
    this.show();
  }

  loopFrom(at) {
    this.setLoop(true, at, this.to - at >= DspsepMixer.SHORTEST_LOOP ? this.to : this.duration);
  }
  loopTo(at) {
    this.setLoop(true, at - this.from >= DspsepMixer.SHORTEST_LOOP ? this.from : 0, at);
  }

  apply() {
    const gains = this.gains();
    if (this.live) {
      const now = this.live.context.currentTime;
      this.live.gains.forEach(({ gain }, index) => {
        gain.cancelScheduledValues(now);
        gain.setValueAtTime(gain.value, now);
        gain.linearRampToValueAtTime(gains[index], now + DspsepMixer.RAMP);
      });
    }
    this.show();
  }

  // ---- what can be done

  set(strip, changes) {
    this.alone = null;
    Object.assign(strip, changes);
    this.apply();
  }
  solo(strip) {
    this.set(strip, { solo: this.alone ? true : !strip.solo, mute: false });
  }
  muteOrNot(strip) {
    this.set(strip, { mute: !strip.mute, solo: false });
  }
  compare(strip) {
    if (strip.reference) this.set(strip, { atReference: !strip.atReference });
  }
  listen(strip) {
    this.alone = this.alone === strip && this.sources.length ? null : strip;
    this.apply();
  }
  compared() {
    return this.sources.filter((strip) => strip.reference && this.current(strip));
  }
  allAtReference() {
    return this.alone === null && this.compared().every((strip) => strip.atReference);
  }
  compareAll(on) {
    for (const strip of this.sources) strip.atReference = on && strip.reference !== null;
    this.alone = null;
    this.apply();
  }
  choose(group) {
    // Sources of one name are heard in the same way.
    const before = this.sources.filter((strip) => strip.group === this.group);
    for (const strip of this.sources.filter((other) => other.group === group)) {
      const same = before.find((other) => other.name === strip.name);
      if (!same) continue;
      const { solo, mute, db } = same;
      Object.assign(strip, { solo, mute, db, atReference: same.atReference && strip.reference !== null });
    }
    this.group = group;
    this.apply();
  }
  reset() {
    for (const strip of this.sources) Object.assign(strip, { solo: false, mute: false, db: 0, atReference: false });
    if (this.sources.length) this.alone = null;
    this.setLoop(false, 0, this.duration);
    this.apply();
  }

  // ---- for tests and for whoever builds on it: what is set, and what is heard

  state() {
    const gains = this.gains();
    const { playing, duration, loop, from, to } = this;
    return {
      playing,
      duration,
      loop,
      from,
      to,
      position: this.position(),
      alone: this.alone && this.strips.indexOf(this.alone),
      group: this.group && this.groups.indexOf(this.group),
      strips: this.strips.map(({ name, role, solo, mute, db, atReference }, index) => ({
        name,
        role,
        solo,
        mute,
        db,
        atReference,
        gain: gains[index],
      })),
    };
  }

  // The signal that playing from `from` would give, one array for each channel.
  async render({ from = this.position(), seconds = this.duration - from } = {}) {
    await this.load();
    const channels = Math.max(...this.buffers.map((buffer) => buffer.numberOfChannels));
    const context = new OfflineAudioContext(channels, Math.round(seconds * this.rate), this.rate);
    this.voicesOf(this.mixer(context), 0, this.sample(from));
    const rendered = await context.startRendering();
    return Array.from({ length: channels }, (_, channel) => rendered.getChannelData(channel));
  }

  // ---- decoding

  static bytesOf(uri) {
    const text = atob(uri.slice(uri.indexOf(",") + 1));
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  // What an MP3's encoder and a decoder put before the sound, for browsers that do not take it away.
  static mp3Delay(bytes) {
    const head = String.fromCharCode(...bytes.subarray(0, 400));
    const tag = head.search(/LAME|Lavc|Lavf/);
    return tag < 0 ? 0 : ((bytes[tag + 21] << 4) | (bytes[tag + 22] >> 4)) + 529;
  }
  static async decode(uri, rate, length) {
    const bytes = DspsepMixer.bytesOf(uri);
    const delay = DspsepMixer.mp3Delay(bytes);
    const context = new OfflineAudioContext(1, 1, rate);
    const decoded = await context.decodeAudioData(bytes.buffer);
    if (decoded.length === length) return decoded;
    const cut = context.createBuffer(decoded.numberOfChannels, length, rate);
    const from = decoded.length >= length + delay ? delay : 0;
    for (let channel = 0; channel < cut.numberOfChannels; channel++) {
      cut.copyToChannel(decoded.getChannelData(channel).subarray(from, from + length), channel);
    }
    return cut;
  }
}
