// A player as it is seen and clicked on. What the page says is text to it.
"use strict";

const DspsepView = (() => {
  const LOUDEST_DB = 6; // the upper end of a fader
  const { SILENT_DB, SHORTEST_LOOP, all: players } = DspsepMixer;
  const ICONS = {
    play: "M7 4.5v15l12-7.5z",
    pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
    start: "M6 5h2.5v14H6zM18.5 5v14L9.5 12z",
    loop: "M7 7h10a3 3 0 0 1 3 3v1h-2v-1a1 1 0 0 0-1-1H7v2.5L3 8l4-3.5zM17 17H7a3 3 0 0 1-3-3v-1h2v1a1 1 0 0 0 1 1h10v-2.5l4 3.5-4 3.5z",
  };

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
  const decibels = (db) =>
    db <= SILENT_DB ? "\u2212\u221e dB" : `${db > 0 ? "+" : db < 0 ? "\u2212" : ""}${Math.abs(db).toFixed(1)} dB`;

  return class extends DspsepMixer {
    constructor(section) {
      super(section);
      this.build();
      this.show();
      section.classList.add("is-live");
    }

    nameOf(group) {
      return group.querySelector("bdi").textContent;
    }
    say(text) {
      if (text) this.status.textContent = text;
    }

    button(text, label, action, keys) {
      const button = make("button", { type: "button", class: "dspsep-made" }, text);
      if (label) button.setAttribute("aria-label", label);
      if (keys) button.title = keys;
      button.addEventListener("click", () => {
        DspsepMixer.used = this;
        action();
      });
      return button;
    }

    build() {
      const c = (this.controls = {});
      c.start = this.button(icon("start"), "To the start", () => this.seek(0), "To the start (Home)");
      c.play = this.button(icon("play", "pause"), "Play", () => this.toggle(), "Play or pause (space)");
      c.play.classList.add("dspsep-main");
      c.loop = this.button(
        icon("loop"),
        "Loop",
        () => this.setLoop(!this.loop),
        "Loop (L); drag over a picture to choose its part",
      );
      c.now = make("span", { class: "dspsep-now" });
      c.seek = make("input", {
        type: "range",
        min: 0,
        max: this.duration,
        step: "any",
        value: 0,
        "aria-label": "Position",
        class: "dspsep-seek",
      });
      c.seek.addEventListener("input", () => {
        DspsepMixer.used = this;
        this.seek(Number(c.seek.value));
      });
      c.mixture =
        this.mixture &&
        this.sources.length &&
        this.button(
          "Mixture",
          "",
          () => {
            this.alone = this.mixture;
            this.apply();
          },
          "Mixture or sources (0)",
        );
      c.sources =
        this.sources.length && this.button("Sources", "", () => this.compareAll(false), "The sources together (0)");
      c.references =
        this.sources.some((strip) => strip.reference) &&
        this.button("References", "", () => this.compareAll(true), "A/B: sources or references (B)");
      c.groups =
        this.groups.length < 2
          ? []
          : this.groups.map((group) =>
              this.button(make("bdi", {}, this.nameOf(group)), "", () => this.choose(group), "Next method (G)"),
            );
      c.reset = this.button("Reset", "", () => this.reset(), "No solo, no mute, faders at 0 dB, no loop (R)");
      this.status = make("p", { role: "status", class: "dspsep-status" });
      const set = (label, ...buttons) =>
        make("div", { role: "group", "aria-label": label, class: "dspsep-set" }, ...buttons.filter(Boolean));
      const time = make("div", { class: "dspsep-time" }, c.now, make("span", {}, ` / ${clock(this.duration)}`));
      const main = make(
        "div",
        { role: "group", "aria-label": "Transport", class: "dspsep-buttons" },
        c.start,
        c.play,
        c.loop,
      );
      const listen =
        c.sources && (c.mixture || c.references) ? [set("Listen to", c.mixture, c.sources, c.references)] : [];
      const methods = c.groups.length ? [set("Method", ...c.groups)] : [];
      this.bar = make(
        "div",
        { class: "dspsep-bar dspsep-made" },
        main,
        time,
        c.seek,
        make("div", { class: "dspsep-choices" }, ...listen, ...methods, c.reset),
        this.status,
      );
      this.section.prepend(this.bar);
      this.strips.forEach((strip) => this.dress(strip));
      this.section.append(this.help());
      for (const event of ["pointerenter", "focusin"]) {
        this.section.addEventListener(
          event,
          () => {
            this.load().catch(() => this.giveUp());
          },
          { once: true },
        );
      }
      this.section.addEventListener("pointerdown", () => {
        DspsepMixer.used = this;
      });
    }

    // Give a strip its buttons, and its picture a place to click on.
    dress(strip) {
      const about = strip.article.querySelector(".dspsep-about");
      const sound = strip.article.querySelector(".dspsep-sound");
      const row = make("div", { role: "group", "aria-label": strip.name, class: "dspsep-controls dspsep-made" });
      if (strip.role === "source") {
        const number =
          this.sources.filter((other) => other.group === strip.group || strip.group === null).indexOf(strip) + 1;
        const keys = (text, shift) => (number > 9 ? text : `${text} (${shift}${number})`);
        strip.soloing = this.button("Solo", `Solo ${strip.name}`, () => this.solo(strip), keys("Solo", ""));
        strip.muting = this.button("Mute", `Mute ${strip.name}`, () => this.muteOrNot(strip), keys("Mute", "shift+"));
        strip.muting.classList.add("dspsep-mute");
        const toggles = make("div", { class: "dspsep-toggles" }, strip.soloing, strip.muting);
        if (strip.reference) {
          strip.comparing = this.button(
            "A/B",
            `Reference of ${strip.name} instead`,
            () => this.compare(strip),
            "A/B: this source or its reference (B for all)",
          );
          strip.comparing.classList.add("dspsep-ab");
          toggles.append(strip.comparing);
        }
        strip.fader = make("input", {
          type: "range",
          min: SILENT_DB,
          max: LOUDEST_DB,
          step: 0.5,
          value: 0,
          "aria-label": `Volume of ${strip.name}`,
          title: "Volume; double-click for 0 dB",
        });
        strip.fader.addEventListener("input", () => this.set(strip, { db: Number(strip.fader.value) }));
        strip.fader.addEventListener("dblclick", () => this.set(strip, { db: 0 }));
        strip.level = make("span", { class: "dspsep-db", "aria-hidden": "true" });
        row.append(toggles, make("div", { class: "dspsep-fader" }, strip.fader, strip.level));
      } else if (!strip.belongs && this.strips.length > 1) {
        strip.listening = this.button(
          "Listen",
          `Listen to ${strip.name} alone`,
          () => this.listen(strip),
          strip === this.mixture ? "Mixture or sources (0)" : "This alone",
        );
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
        const over = make(
          "div",
          { class: "dspsep-over dspsep-made", "aria-hidden": "true" },
          make("div", { class: "dspsep-part" }),
          make("div", { class: "dspsep-head" }),
        );
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
      const isStroke = (event) =>
        first !== null && Math.abs(event.clientX - first.x) > 5 && Math.abs(at(event) - first.time) >= SHORTEST_LOOP;
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
      over.addEventListener("pointercancel", () => {
        first = null;
        this.show();
      });
    }

    help() {
      const rows = [
        ["space", "play or pause"],
        ["\u2190 \u2192", "back or on by 1 s, with shift by 5 s"],
        ["Home", "to the start"],
        ["1 \u2013 9", "solo of a source, with shift its mute"],
        ["0", "mixture or sources"],
        ["B", "A/B: sources or references"],
        ["G", "next method"],
        ["L", "loop on or off"],
        ["I, O", "loop from here, loop to here"],
        ["R", "reset"],
      ].filter(
        ([key]) =>
          (key !== "B" || this.controls.references) &&
          (key !== "G" || this.groups.length > 1) &&
          (key !== "0" || this.mixture),
      );
      const list = make(
        "dl",
        {},
        ...rows.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, text))),
      );
      const hint = make(
        "p",
        {},
        "Click a picture to play from there; drag over it to loop a part. Levels are true: faders begin at 0 dB, and nothing is normalised.",
      );
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
      if (!this.following) this.follow();
    }

    tick() {
      const at = this.position();
      this.section.style.setProperty("--at", `${(100 * at) / (this.duration || 1)}%`);
      this.controls.now.textContent = clock(at);
      this.controls.seek.value = at;
      this.controls.seek.setAttribute("aria-valuetext", `${spoken(at)} of ${spoken(this.duration)}`);
    }

    follow() {
      this.following = this.playing;
      if (!this.playing) return;
      requestAnimationFrame(() => {
        this.tick();
        this.follow();
      });
    }

    busy(on) {
      if (on) this.controls.play.setAttribute("aria-busy", "true");
      else this.controls.play.removeAttribute("aria-busy");
    }

    giveUp() {
      this.pause();
      if (!players.includes(this)) return; // it has before
      this.section.classList.remove("is-live");
      players.splice(players.indexOf(this), 1);
      if (DspsepMixer.used === this) DspsepMixer.used = null;
      this.bar.remove();
      for (const node of this.section.querySelectorAll(".dspsep-made")) node.remove();
      for (const node of this.section.querySelectorAll("[hidden]")) node.hidden = false;
      for (const { article } of this.strips) article.classList.remove("is-silent", "at-reference");
    }
  };
})();
