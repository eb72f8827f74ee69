// Takes over the players of a page: one clock and one mixer for all sounds of each. It loads nothing, keeps
// nothing, and treats what the page says as text. Without it, the audio elements that it hides do the playing.
"use strict";
(() => {
  const MAX_BYTES = 1e9; // of decoded sound; a longer page keeps its plain audio elements
  const SILENT_DB = -60, LOUDEST_DB = 6; // the ends of a fader; its lower end is silence
  const LEAD = 0.02, RAMP = 0.01; // seconds from a decision to its start, and from one gain to the next
  const SHORTEST_LOOP = 0.05;
  const ICONS = {
    play: "M7 4.5v15l12-7.5z", pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z", start: "M6 5h2.5v14H6zM18.5 5v14L9.5 12z",
    loop: "M7 7h10a3 3 0 0 1 3 3v1h-2v-1a1 1 0 0 0-1-1H7v2.5L3 8l4-3.5zM17 17H7a3 3 0 0 1-3-3v-1h2v1a1 1 0 0 0 1 1h10v-2.5l4 3.5-4 3.5z",
  };
  const players = [];
  let used = null; // the player that keys go to when nothing has the focus

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children); // strings become text
    return node;
  }
  function icon(...names) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    for (const name of names) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", ICONS[name]);
      path.setAttribute("class", `dspsep-${name}`);
      svg.append(path);
    }
    return svg;
  }
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const press = (button, on) => button?.setAttribute("aria-pressed", String(on));
  const spoken = (seconds) => `${seconds.toFixed(1)} seconds`;
  function clock(seconds) {
    const tenths = Math.floor(seconds * 10 + 1e-6);
    return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
  }
  const decibels = (db) => (db <= SILENT_DB ? "\u2212\u221e dB" : `${db > 0 ? "+" : db < 0 ? "\u2212" : ""}${Math.abs(db).toFixed(1)} dB`);

  function bytesOf(uri) {
    const text = atob(uri.slice(uri.indexOf(",") + 1));
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  // What an MP3's encoder and a decoder put before the sound, for browsers that do not take it away.
  function mp3Delay(bytes) {
    const head = String.fromCharCode(...bytes.subarray(0, 400));
    const tag = head.search(/LAME|Lavc|Lavf/);
    return tag < 0 ? 0 : ((bytes[tag + 21] << 4) | (bytes[tag + 22] >> 4)) + 529;
  }
  async function decode(uri, rate, length) {
    const bytes = bytesOf(uri);
    const delay = mp3Delay(bytes);
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

  class Player {
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
          source.reference ??= strip;
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
      this.build();
      this.show();
      section.classList.add("is-live");
    }

    read(article) {
      return {
        article, role: article.dataset.role, audio: article.querySelector("audio"),
        name: article.querySelector("bdi").textContent, group: article.closest(".dspsep-group"),
        reference: null, solo: false, mute: false, db: 0, atReference: false,
      };
    }

    // ---- sound

    load() {
      this.loading ??= Promise.all(
        this.strips.map((strip) => decode(strip.audio.getAttribute("src"), this.rate, this.length)),
      ).then((buffers) => { this.buffers = buffers; });
      return this.loading;
    }

    current(strip) { return strip.group === null || strip.group === this.group; }

    // The gain of each strip: the mixture or the sources, as solo, mute, faders and A/B have it.
    gains() {
      const gains = this.strips.map(() => 0);
      const add = (strip, gain) => { gains[this.strips.indexOf(strip)] += gain; };
      if (this.alone) { add(this.alone, 1); return gains; }
      const sources = this.sources.filter((strip) => this.current(strip));
      const soloed = sources.some((strip) => strip.solo);
      for (const strip of sources) {
        const heard = soloed ? strip.solo : !strip.mute;
        if (heard && strip.db > SILENT_DB) add(strip.atReference ? strip.reference : strip, 10 ** (strip.db / 20));
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

    sample(seconds) { return Math.round(seconds * this.rate) / this.rate; }

    position() {
      if (!this.playing) return this.offset;
      const at = this.offset + Math.max(0, this.live.context.currentTime - this.started);
      if (this.loop && at >= this.to) return this.from + ((at - this.to) % (this.to - this.from));
      return Math.min(at, this.duration);
    }

    async play() {
      for (const other of players) if (other !== this) other.pause();
      used = this;
      if (this.playing || this.waiting) return;
      this.waiting = true;
      this.controls.play.setAttribute("aria-busy", "true");
      try {
        this.live ??= this.mixer(new AudioContext({ sampleRate: this.rate }));
        await Promise.all([this.live.context.resume(), this.load()]);
      } catch (error) {
        this.giveUp();
        return;
      } finally {
        this.controls.play.removeAttribute("aria-busy");
      }
      if (!this.waiting) return; // paused while it was decoding
      this.waiting = false;
      if (this.offset >= this.duration) this.offset = 0;
      this.playing = true;
      this.run(this.offset, this.live.context.currentTime);
      this.show();
      this.follow();
    }

    // Let all voices begin at one sample, where those that sounded end.
    run(offset, now) {
      const when = Math.ceil((now + LEAD) * this.rate) / this.rate;
      if (this.loop && offset >= this.to) offset = this.from;
      this.stop(when);
      this.offset = Math.min(this.sample(offset), this.duration);
      this.started = when;
      this.voices = this.voicesOf(this.live, when, this.offset);
      const [first] = this.voices;
      if (first) first.onended = () => { if (first === this.voices[0]) this.pause(this.duration); };
    }

    stop(when) {
      for (const voice of this.voices) { voice.onended = null; voice.stop(when); }
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

    toggle() { return this.playing || this.waiting ? this.pause() : this.play(); }

    seek(seconds) {
      const at = clamp(this.sample(seconds), 0, this.duration);
      if (this.playing) this.run(at, this.live.context.currentTime);
      else this.offset = at;
      this.show();
    }

    // After a change of the loop: from where it is, in the new loop.
    setLoop(on, from = this.from, to = this.to) {
      const at = this.position();
      [from, to] = [this.sample(from), this.sample(to)];
      Object.assign(this, to - from >= SHORTEST_LOOP ? { from, to } : { from: 0, to: this.duration });
      this.loop = on;
      if (this.playing) this.run(at + LEAD, this.live.context.currentTime);
      this.show();
    }

    apply() {
      const gains = this.gains();
      if (this.live) {
        const now = this.live.context.currentTime;
        this.live.gains.forEach(({ gain }, index) => {
          gain.cancelScheduledValues(now);
          gain.setValueAtTime(gain.value, now);
          gain.linearRampToValueAtTime(gains[index], now + RAMP);
        });
      }
      this.show();
    }

    giveUp() {
      this.pause();
      this.section.classList.remove("is-live");
      players.splice(players.indexOf(this), 1);
      this.bar.remove();
      for (const node of this.section.querySelectorAll(".dspsep-made")) node.remove();
      for (const node of this.section.querySelectorAll("[hidden]")) node.hidden = false;
    }

    // ---- what can be done

    set(strip, changes) {
      this.alone = null;
      Object.assign(strip, changes);
      this.apply();
    }
    solo(strip) { this.set(strip, { solo: this.alone ? true : !strip.solo, mute: false }); }
    muteOrNot(strip) { this.set(strip, { mute: !strip.mute, solo: false }); }
    compare(strip) { if (strip.reference) this.set(strip, { atReference: !strip.atReference }); }
    listen(strip) { this.alone = this.alone === strip && this.sources.length ? null : strip; this.apply(); }
    compared() { return this.sources.filter((strip) => strip.reference && this.current(strip)); }
    allAtReference() { return this.alone === null && this.compared().every((strip) => strip.atReference); }
    compareAll(on) {
      for (const strip of this.sources) strip.atReference = on && strip.reference !== null;
      this.alone = null;
      this.apply();
    }
    choose(group) {
      const before = new Map(this.sources.filter((strip) => strip.group === this.group).map((strip) => [strip.name, strip]));
      for (const strip of this.sources.filter((other) => other.group === group)) {
        const { solo, mute, db, atReference } = before.get(strip.name) ?? {};
        if (solo !== undefined) Object.assign(strip, { solo, mute, db, atReference: atReference && strip.reference !== null });
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

    // Return what a key did, in words; undefined if it is none of ours.
    key(event) {
      const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
      if (digit === "0" && this.mixture) { this.listen(this.mixture); return this.alone ? "Mixture" : "Sources"; }
      if (digit !== undefined) {
        const strip = this.sources.filter((source) => this.current(source))[Number(digit) - 1];
        if (!strip) return undefined;
        if (event.shiftKey) { this.muteOrNot(strip); return `${strip.name} ${strip.mute ? "muted" : "not muted"}`; }
        this.solo(strip);
        return `${strip.name} ${strip.solo ? "solo" : "not solo"}`;
      }
      const step = event.shiftKey ? 5 : 1;
      switch (event.key.length === 1 ? event.key.toLowerCase() : event.key) {
        case " ": this.toggle(); return "";
        case "ArrowLeft": this.seek(this.position() - step); return "";
        case "ArrowRight": this.seek(this.position() + step); return "";
        case "Home": this.seek(0); return "";
        case "b":
          if (!this.compared().length) return undefined;
          this.compareAll(!this.allAtReference());
          return this.allAtReference() ? "References" : "Sources";
        case "g":
          if (this.groups.length < 2) return undefined;
          this.choose(this.groups[(this.groups.indexOf(this.group) + 1) % this.groups.length]);
          return this.nameOf(this.group);
        case "i": this.setLoop(true, this.position(), Math.max(this.to, this.position()) - this.position() >= SHORTEST_LOOP ? this.to : this.duration); return "Loop begins here";
        case "o": this.setLoop(true, this.position() - this.from >= SHORTEST_LOOP ? this.from : 0, this.position()); return "Loop ends here";
        case "l": this.setLoop(!this.loop); return this.loop ? "Loop on" : "Loop off";
        case "r": this.reset(); return "Reset";
        default: return undefined;
      }
    }

    // ---- what is seen

    nameOf(group) { return group.querySelector("bdi").textContent; }
    say(text) { if (text) this.status.textContent = text; }

    button(text, label, action, keys) {
      const button = make("button", { type: "button", class: "dspsep-made" }, text);
      if (label) button.setAttribute("aria-label", label);
      if (keys) button.title = keys;
      button.addEventListener("click", () => { used = this; action(); });
      return button;
    }

    build() {
      const c = (this.controls = {});
      c.start = this.button(icon("start"), "To the start", () => this.seek(0), "To the start (Home)");
      c.play = this.button(icon("play", "pause"), "Play", () => this.toggle(), "Play or pause (space)");
      c.play.classList.add("dspsep-main");
      c.loop = this.button(icon("loop"), "Loop", () => this.setLoop(!this.loop), "Loop (L); drag over a picture to choose its part");
      c.now = make("span", { class: "dspsep-now" });
      c.seek = make("input", { type: "range", min: 0, max: this.duration, step: "any", value: 0, "aria-label": "Position", class: "dspsep-seek" });
      c.seek.addEventListener("input", () => { used = this; this.seek(Number(c.seek.value)); });
      c.mixture = this.mixture && this.sources.length && this.button("Mixture", "", () => { this.alone = this.mixture; this.apply(); }, "Mixture or sources (0)");
      c.sources = this.sources.length && this.button("Sources", "", () => this.compareAll(false), "The sources together (0)");
      c.references = this.compared().length && this.button("References", "", () => this.compareAll(true), "A/B: sources or references (B)");
      c.groups = this.groups.length < 2 ? [] : this.groups.map((group) => this.button(make("bdi", {}, this.nameOf(group)), "", () => this.choose(group), "Next method (G)"));
      c.reset = this.button("Reset", "", () => this.reset(), "No solo, no mute, faders at 0 dB, no loop (R)");
      this.status = make("p", { role: "status", class: "dspsep-status" });
      const set = (label, ...buttons) => make("div", { role: "group", "aria-label": label, class: "dspsep-set" }, ...buttons.filter(Boolean));
      const time = make("div", { class: "dspsep-time" }, c.now, make("span", {}, ` / ${clock(this.duration)}`));
      const main = make("div", { role: "group", "aria-label": "Transport", class: "dspsep-buttons" }, c.start, c.play, c.loop);
      const listen = c.sources && (c.mixture || c.references) ? [set("Listen to", c.mixture, c.sources, c.references)] : [];
      const methods = c.groups.length ? [set("Method", ...c.groups)] : [];
      this.bar = make("div", { class: "dspsep-bar dspsep-made" }, main, time, c.seek, make("div", { class: "dspsep-choices" }, ...listen, ...methods, c.reset), this.status);
      this.section.prepend(this.bar);
      this.strips.forEach((strip) => this.dress(strip));
      this.section.append(this.help());
      for (const event of ["pointerenter", "focusin"]) {
        this.section.addEventListener(event, () => { this.load().catch(() => this.giveUp()); }, { once: true });
      }
      this.section.addEventListener("pointerdown", () => { used = this; });
    }

    // Give a strip its buttons, and its picture a place to click on.
    dress(strip) {
      const about = strip.article.querySelector(".dspsep-about");
      const sound = strip.article.querySelector(".dspsep-sound");
      const row = make("div", { role: "group", "aria-label": strip.name, class: "dspsep-controls dspsep-made" });
      if (strip.role === "source") {
        const number = this.sources.filter((other) => other.group === strip.group || strip.group === null).indexOf(strip) + 1;
        const keys = (text, shift) => (number > 9 ? text : `${text} (${shift}${number})`);
        strip.soloing = this.button("Solo", `Solo ${strip.name}`, () => this.solo(strip), keys("Solo", ""));
        strip.muting = this.button("Mute", `Mute ${strip.name}`, () => this.muteOrNot(strip), keys("Mute", "shift+"));
        strip.muting.classList.add("dspsep-mute");
        const toggles = make("div", { class: "dspsep-toggles" }, strip.soloing, strip.muting);
        if (strip.reference) {
          strip.comparing = this.button("A/B", `Reference of ${strip.name} instead`, () => this.compare(strip), "A/B: this source or its reference (B for all)");
          strip.comparing.classList.add("dspsep-ab");
          toggles.append(strip.comparing);
        }
        strip.fader = make("input", { type: "range", min: SILENT_DB, max: LOUDEST_DB, step: 0.5, value: 0, "aria-label": `Volume of ${strip.name}`, title: "Volume; double-click for 0 dB" });
        strip.fader.addEventListener("input", () => this.set(strip, { db: Number(strip.fader.value) }));
        strip.fader.addEventListener("dblclick", () => this.set(strip, { db: 0 }));
        strip.level = make("span", { class: "dspsep-db", "aria-hidden": "true" });
        row.append(toggles, make("div", { class: "dspsep-fader" }, strip.fader, strip.level));
      } else if (!strip.belongs && this.strips.length > 1) {
        strip.listening = this.button("Listen", `Listen to ${strip.name} alone`, () => this.listen(strip), strip === this.mixture ? "Mixture or sources (0)" : "This alone");
        row.append(make("div", { class: "dspsep-toggles" }, strip.listening));
      }
      about.append(row);
      this.over(sound);
      if (strip.reference) this.pairWith(strip.reference, about, sound);
    }

    // Put the picture and the levels of the reference where those of the source are, for A/B.
    pairWith(reference, about, sound) {
      const tag = reference.article.querySelector(".dspsep-tag").cloneNode(true);
      tag.classList.add("dspsep-made", "dspsep-of-reference");
      about.firstElementChild.append(tag);
      const swap = (from, selector, host, before) => {
        const theirs = [...from.querySelectorAll(`:scope > ${selector}`)];
        if (!theirs.length) return;
        for (const node of host.querySelectorAll(`:scope > ${selector}`)) node.classList.add("dspsep-of-source");
        for (const node of theirs) {
          const copy = node.cloneNode(true);
          for (const made of copy.querySelectorAll(".dspsep-made")) made.remove();
          copy.classList.add("dspsep-made", "dspsep-of-reference");
          host.insertBefore(copy, before);
        }
      };
      swap(reference.article.querySelector(".dspsep-about"), "p", about, about.querySelector(".dspsep-controls"));
      swap(reference.article.querySelector(".dspsep-sound"), "figure", sound, sound.querySelector("audio"));
      this.over(sound);
    }

    over(sound) {
      if (!sound.querySelector("figure")) sound.prepend(make("figure", { class: "dspsep-plain dspsep-made" }));
      for (const figure of sound.querySelectorAll("figure")) {
        if (figure.querySelector(".dspsep-over")) continue;
        const over = make("div", { class: "dspsep-over dspsep-made", "aria-hidden": "true" }, make("div", { class: "dspsep-part" }), make("div", { class: "dspsep-head" }));
        figure.append(over);
        this.point(over);
      }
    }

    // A click is a place to play from; a stroke is a part to play in a loop.
    point(over) {
      let first = null;
      const at = (event) => {
        const box = over.getBoundingClientRect();
        return this.duration * clamp((event.clientX - box.left) / box.width, 0, 1);
      };
      const isStroke = (event) => first !== null && Math.abs(event.clientX - first.x) > 5;
      over.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        first = { x: event.clientX, time: at(event) };
        over.setPointerCapture(event.pointerId);
      });
      over.addEventListener("pointermove", (event) => {
        if (isStroke(event)) this.mark(...[first.time, at(event)].sort((a, b) => a - b));
      });
      over.addEventListener("pointerup", (event) => {
        if (first === null) return;
        if (isStroke(event)) {
          const [from, to] = [first.time, at(event)].sort((a, b) => a - b);
          this.setLoop(true, from, to);
          this.seek(this.from);
        } else this.seek(first.time);
        first = null;
      });
      over.addEventListener("pointercancel", () => { first = null; this.show(); });
    }

    help() {
      const rows = [
        ["space", "play or pause"], ["\u2190 \u2192", "back or on by 1 s, with shift by 5 s"], ["Home", "to the start"],
        ["1 \u2013 9", "solo of a source, with shift its mute"], ["0", "mixture or sources"],
        ["B", "A/B: sources or references"], ["G", "next method"], ["L", "loop on or off"],
        ["I, O", "loop from here, loop to here"], ["R", "reset"],
      ].filter(([key]) => (key !== "B" || this.compared().length) && (key !== "G" || this.groups.length > 1) && (key !== "0" || this.mixture));
      const list = make("dl", {}, ...rows.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, text))));
      const hint = make("p", {}, "Click a picture to play from there; drag over it to loop a part. Levels are true: faders begin at 0 dB, and nothing is normalised.");
      return make("details", { class: "dspsep-help dspsep-made" }, make("summary", {}, "Keys"), list, hint);
    }

    mark(from, to) {
      this.section.style.setProperty("--from", `${(100 * from) / this.duration}%`);
      this.section.style.setProperty("--to", `${(100 * to) / this.duration}%`);
    }

    // Everything that follows from the state, but for the time.
    show() {
      const c = this.controls;
      const gains = this.gains();
      c.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
      this.section.classList.toggle("is-playing", this.playing);
      this.section.classList.toggle("has-loop", this.loop);
      this.mark(this.from, this.to);
      press(c.loop, this.loop);
      if (c.mixture) press(c.mixture, this.alone === this.mixture);
      if (c.references) press(c.references, this.allAtReference());
      if (c.sources) press(c.sources, this.alone === null && !(c.references && this.allAtReference()));
      c.groups.forEach((button, index) => press(button, this.groups[index] === this.group));
      for (const group of this.groups) group.hidden = group !== this.group;
      this.strips.forEach((strip, index) => {
        const on = strip.atReference ? gains[this.strips.indexOf(strip.reference)] : gains[index];
        strip.article.classList.toggle("is-silent", on === 0);
        strip.article.classList.toggle("at-reference", strip.atReference);
        strip.article.hidden = Boolean(strip.belongs);
        press(strip.soloing, strip.solo);
        press(strip.muting, strip.mute);
        press(strip.comparing, strip.atReference);
        press(strip.listening, this.alone === strip);
        if (!strip.fader) return;
        strip.fader.value = strip.db;
        strip.fader.setAttribute("aria-valuetext", decibels(strip.db));
        strip.level.textContent = decibels(strip.db);
      });
      this.tick();
    }

    tick() {
      const at = this.position();
      this.section.style.setProperty("--at", `${(100 * at) / (this.duration || 1)}%`);
      this.controls.now.textContent = clock(at);
      this.controls.seek.value = at;
      this.controls.seek.setAttribute("aria-valuetext", `${spoken(at)} of ${spoken(this.duration)}`);
    }

    follow() {
      if (!this.playing) return;
      this.tick();
      requestAnimationFrame(() => this.follow());
    }

    // ---- for tests and for whoever builds on it: what is set, and what is heard

    state() {
      const gains = this.gains();
      const { playing, duration, loop, from, to } = this;
      return {
        playing, duration, loop, from, to, position: this.position(),
        alone: this.alone && this.strips.indexOf(this.alone), group: this.group && this.groups.indexOf(this.group),
        strips: this.strips.map(({ name, role, solo, mute, db, atReference }, index) => ({ name, role, solo, mute, db, atReference, gain: gains[index] })),
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
  }

  // Keys are ours inside a player, or where nothing else has the focus; never while something is typed.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    const { target } = event;
    const free = target === document.body || target === document.documentElement;
    const player = players.find((other) => other.section.contains(target)) ?? (free ? used ?? (players.length === 1 ? players[0] : null) : null);
    if (!player) return;
    const isRange = target.matches("input[type=range]");
    if (target.isContentEditable || (target.matches("input, textarea, select, audio") && !isRange)) return;
    if (isRange && target !== player.controls.seek && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (event.key === " " && target.matches("button, summary, a")) return; // it presses them
    const said = player.key(event);
    if (said === undefined) return;
    player.say(said);
    event.preventDefault();
  });

  for (const section of document.querySelectorAll("section.dspsep-player")) {
    const bytes = 8 * Number(section.dataset.samples) * section.querySelectorAll("audio").length;
    if (!window.AudioContext || !window.OfflineAudioContext || !(bytes > 0 && bytes <= MAX_BYTES)) continue;
    const player = new Player(section);
    players.push(player);
    section.dspsepPlayer = {
      state: () => player.state(), render: (options) => player.render(options), ready: () => player.load(),
      live: () => player.live ?? null, buffers: () => player.buffers ?? null,
    };
  }
})();
