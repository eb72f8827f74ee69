// Takes over the players of a page: hides their audio elements, and gives each its buttons and its keys. Without
// this script the audio elements do the playing.
"use strict";
(() => {
  const MAX_BYTES = 1e9; // of decoded sound; a longer page keeps its plain audio elements
  const { all: players } = DspsepMixer;

  // Return what a key did, in words; undefined if it is none of ours.
  function act(player, event) {
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
    if (digit === "0" && player.mixture) {
      player.listen(player.mixture);
      return player.alone ? "Mixture" : "Sources";
    }
    if (digit !== undefined) {
      const strip = player.sources.filter((source) => player.current(source))[Number(digit) - 1];
      if (!strip) return undefined;
      if (event.shiftKey) {
        player.muteOrNot(strip);
        return `${strip.name} ${strip.mute ? "muted" : "not muted"}`;
      }
      player.solo(strip);
      return `${strip.name} ${strip.solo ? "solo" : "not solo"}`;
    }
    const step = event.shiftKey ? 5 : 1;
    switch (event.key.length === 1 ? event.key.toLowerCase() : event.key) {
      case " ":
        player.toggle();
        return "";
      case "ArrowLeft":
        player.seek(player.position() - step);
        return "";
      case "ArrowRight":
        player.seek(player.position() + step);
        return "";
      case "Home":
        player.seek(0);
        return "";
      case "b":
        if (!player.compared().length) return undefined;
        player.compareAll(!player.allAtReference());
        return player.allAtReference() ? "References" : "Sources";
      case "g":
        if (player.groups.length < 2) return undefined;
        player.choose(player.groups[(player.groups.indexOf(player.group) + 1) % player.groups.length]);
        return player.nameOf(player.group);
      case "i":
        player.loopFrom(player.position());
        return "Loop begins here";
      case "o":
        player.loopTo(player.position());
        return "Loop ends here";
      case "l":
        player.setLoop(!player.loop);
        return player.loop ? "Loop on" : "Loop off";
      case "r":
        player.reset();
        return "Reset";
      default:
        return undefined;
    }
  }

  // Keys are ours inside a player, or where nothing else has the focus; never while something is typed.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    const { target } = event;
    const free = target === document.body || target === document.documentElement;
    const only = players.length === 1 ? players[0] : null;
    const player =
      players.find((other) => other.section.contains(target)) ?? (free ? (DspsepMixer.used ?? only) : null);
    if (!player) return;
    const isRange = target.matches("input[type=range]");
    if (target.isContentEditable || (target.matches("input, textarea, select, audio") && !isRange)) return;
    if (isRange && target !== player.controls.seek && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (event.key === " " && target.matches("button, summary, a")) return; // it presses them
    const said = act(player, event);
    if (said === undefined) return;
    player.say(said);
    event.preventDefault();
  });

  for (const section of document.querySelectorAll("section.dspsep-player")) {
    const bytes = 8 * Number(section.dataset.samples) * section.querySelectorAll("audio").length;
    if (!window.AudioContext || !window.OfflineAudioContext || !(bytes > 0 && bytes <= MAX_BYTES)) continue;
    const player = new DspsepView(section);
    players.push(player);
    section.dspsepPlayer = {
      state: () => player.state(),
      render: (options) => player.render(options),
      ready: () => player.load(),
      live: () => player.live ?? null,
      buffers: () => player.buffers ?? null,
    };
  }
})();
