// Lists, finds and plays the calls of a package. Nothing is loaded but the audio beside this page.
// Callers choose their names: what the data says becomes text, and never markup.
"use strict";
(() => {
  const { calls, zone: exportZone } = JSON.parse(document.getElementById("data").textContent);
  const AT_ONCE = 100; // rows that are added at a time
  const OPEN = 3; // so many calls are open from the beginning
  const STEP = 10; // seconds
  const ROLES = { from: "From", to: "To", contact: "Contact", channel: "Channel", agent: "Agent" };
  const WAYS = { inbound: "↓ inbound", outbound: "↑ outbound" };
  const HOW = {
    single: "The recording is the one leg, as the provider sent it.",
    copy: "The recording holds every encoded frame of the legs, unchanged.",
    transcode: "The legs differ in format, so the recording was decoded to PCM.",
    apart: "The legs are kept apart in the archive. They were joined for this package to be "
      + "listened to; the legs themselves are the evidence.",
    unjoined: "The legs cannot be joined, since one has a codec that is not supported. Each is "
      + "as the provider sent it.",
  };
  const one = (id) => document.getElementById(id);
  const every = (what, part = document) => [...part.querySelectorAll(what)];

  // ---- elements and words
  const el = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(key, value);
      else if (value !== null && value !== false) made.setAttribute(key, value);
    }
    made.append(...children.flat().filter((each) => each !== null && each !== ""));
    return made;
  };
  const soft = (text) => el("span", { class: "soft" }, text);
  const id = (text) => el("span", { class: "id" }, text);
  const leads = (file) => el("a", { class: "id", href: file.href }, file.name);
  const chip = (text, more = "") => el("span", { class: `chip ${more}` }, text);
  const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const clock = (seconds) => {
    const whole = Math.max(0, Math.round(seconds)), two = (n) => String(n).padStart(2, "0");
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  };

  // ---- time zones
  const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  let times; // writes 2026-11-20 12:00:00: Swedes do
  const useZone = (timeZone) => {
    times = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" });
    for (const call of calls) {
      [call.day] = times.format(call.at).split(" ");
      call.row = null;
    }
    for (const each of every("time", document)) {
      each.textContent = `${times.format(Date.parse(each.dateTime))} ${timeZone}`;
    }
  };
  const weekday = new Intl.DateTimeFormat("en", { weekday: "long", timeZone: "UTC" });

  // ---- what is known of a call
  const side = (call, roles) => {
    for (const role of roles) {
      for (const party of call.parties) {
        const said = [party.name, party.number || party.extension || party.agent].filter(Boolean);
        if (party.role === role && said.length) return said;
      }
    }
    return [];
  };
  const address = (call) => `${call.provider}/${call.account}/${call.call}`;
  const title = (call) => `${times.format(call.at)} ${[
    ...side(call, ["from", "contact"]).slice(0, 1),
    ...side(call, ["to", "agent", "channel"]).slice(0, 1),
  ].join(" → ") || call.call}`;
  const digits = (text) => text.replace(/\D/g, "").replace(/^0+/, "");
  for (const call of calls) {
    call.open = calls.length <= OPEN;
    call.position = 0; // seconds
    call.text = [
      address(call), call.providerName, call.direction, ...call.cases, ...call.persons,
      ...call.parties.flatMap((party) => [party.name, party.number, party.extension, party.agent]),
      ...call.legs.map((leg) => leg.id), call.digest ? "" : "not proven yet",
    ].join("\n").toLowerCase();
    call.digits = call.parties.map((party) => digits(party.number || "")).join(" ");
  }

  // ---- the list: what is chosen, in order, a hundred rows at a time
  let shown = [], rendered = 0, section = null, perDay = new Map();
  const byPerson = (call) => call.persons[0] || "\uffff";
  const ORDERS = {
    oldest: (a, b) => a.at - b.at,
    newest: (a, b) => b.at - a.at,
    longest: (a, b) => b.ms - a.ms,
    shortest: (a, b) => a.ms - b.ms,
    person: (a, b) => byPerson(a).localeCompare(byPerson(b)) || a.at - b.at,
  };
  const matching = () => {
    const value = (name) => one(name).value;
    const typed = value("search").trim(), words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    const number = /^[\d\s+().\/-]{3,}$/.test(typed) ? digits(typed) : "";
    const [person, provider, direction] = ["person", "provider", "direction"].map(value);
    const [from, to] = [value("from"), value("to")];
    return (call) => (!person || call.persons.includes(person))
      && (!provider || call.provider === provider)
      && (!direction || call.direction === direction)
      && (!from || call.day >= from) && (!to || call.day <= to)
      && (words.every((word) => call.text.includes(word))
        || (number.length >= 3 && call.digits.includes(number)));
  };
  const list = () => {
    const order = one("sort").value;
    shown = calls.filter(matching()).sort(ORDERS[order]);
    perDay = new Map();
    for (const { day } of shown) perDay.set(day, (perDay.get(day) || 0) + 1);
    if (order !== "oldest" && order !== "newest") perDay = null;
    one("calls").replaceChildren();
    [rendered, section] = [0, null];
    const all = shown.length === calls.length ? "" : ` of ${calls.length.toLocaleString("en")}`;
    const length = clock(shown.reduce((sum, call) => sum + call.ms, 0) / 1000);
    const many = `${shown.length.toLocaleString("en")}${all}`;
    one("count").textContent = shown.length
      ? `${many} ${calls.length === 1 ? "call" : "calls"}, ${length}`
      : "No call matches: clear the filters, or search for less.";
    more();
  };
  const more = (upTo = rendered + AT_ONCE) => {
    for (const call of shown.slice(rendered, upTo)) {
      const day = perDay ? call.day : "";
      if (!section || section.dataset.day !== day) {
        section = el("section", { "data-day": day });
        if (day) {
          section.append(el("h2", {}, `${weekday.format(Date.parse(day))}, ${day} `,
            soft(counted(perDay.get(day), "call"))));
        }
        one("calls").append(section);
      }
      section.append(call.row ||= row(call));
    }
    rendered = Math.max(rendered, Math.min(upTo, shown.length));
    one("more").hidden = rendered >= shown.length;
  };
  const reveal = (call) => {
    if (!shown.includes(call)) {
      document.querySelector(".tools").reset();
      one("zone").value = times.resolvedOptions().timeZone;
      list();
    }
    more(shown.indexOf(call) + 1);
    call.row.querySelector("details").open = true;
    call.row.querySelector("summary").focus();
    call.row.scrollIntoView({ block: "start" });
  };

  // ---- a row, and what is inside when it is opened
  const row = (call) => {
    const who = (roles) => {
      const [name, number] = side(call, roles);
      return name ? [name, number ? soft(` ${number}`) : ""] : [];
    };
    const [first, last] = [who(["from", "contact"]), who(["to", "agent", "channel"])];
    const arrow = first.length && last.length ? soft(" → ") : "";
    const summary = el("summary", {},
      el("span", { class: "when" }, times.format(call.at)),
      el("span", { class: "way" }, WAYS[call.direction] || call.direction || ""),
      el("span", { class: "who" },
        first.length || last.length ? [...first, arrow, ...last] : id(call.call)),
      el("span", { class: "long" }, clock(call.ms / 1000),
        call.legs.length > 1 ? chip(`${call.legs.length} legs`) : "", chip(call.providerName),
        call.digest ? "" : chip("not proven yet", "bad")));
    const details = el("details", {}, summary);
    const fill = () => {
      call.open = details.open;
      if (details.open && details.children.length === 1) details.append(inside(call));
      show(call);
    };
    details.addEventListener("toggle", fill);
    details.open = call.open;
    if (call.open) details.append(inside(call));
    return el("article", {}, details);
  };
  const WIDE = { class: "wide", tabindex: 0, role: "group", "aria-label": "Table" };
  const table = (head, rows, kind = "") => el("div", WIDE, el("table", { class: kind },
    el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell) => (
      cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell))))))));
  const inside = (call) => el("div", { class: "inside" },
    ...(call.plays ? player(call) : []), ...parties(call), ...legs(call), ...missing(call),
    ...seal(call));
  const parties = (call) => {
    const known = ["name", "number", "extension", "agent"].filter(
      (column) => call.parties.some((party) => party[column]));
    if (!known.length) return [];
    const head = ["role", ...known].map((text) => text[0].toUpperCase() + text.slice(1));
    const rows = call.parties.map(
      (party) => [ROLES[party.role] || party.role, ...known.map((column) => party[column] || "")]);
    return [el("h3", {}, "Parties"), table(head, rows)];
  };
  const between = (leg) => {
    if (leg.heardIn) return `heard in leg ${leg.heardIn}`;
    if (leg.gap === null) return "";
    const seconds = (Math.abs(leg.gap) / 1000).toFixed(1);
    if (seconds === "0.0") return "at once";
    return leg.gap < 0 ? el("span", { class: "bad" }, `overlaps by ${seconds} s`)
      : `gap of ${seconds} s`;
  };
  const legs = (call) => {
    const several = call.legs.length > 1, named = call.legs.some((leg) => leg.who);
    const head = ["No.", "Began", "Duration", ...(several ? ["After the one before"] : []),
      ...(named ? ["Who"] : []), "Recording", "SHA-256"];
    const rows = call.legs.map((leg, at) => [
      call.plays ? el("button", {
        type: "button", "aria-label": `Play leg ${at + 1}, from ${clock(leg.offset / 1000)}`,
        click: () => seek(call, leg.offset / 1000),
      }, String(at + 1)) : String(at + 1),
      el("td", { class: "t" }, times.format(leg.at)),
      el("td", { class: "t" }, clock(leg.ms / 1000)),
      ...(several ? [between(leg)] : []),
      ...(named ? [leg.who] : []),
      el("td", { class: "id" }, el("a", { href: leg.href }, leg.id)),
      el("td", { class: "id hash" }, leg.sha256),
    ]);
    return [el("h3", {}, several ? "Legs" : "Leg"), table(head, rows, "legs")];
  };
  const missing = (call) => (call.missing.length
    ? [el("h3", { class: "bad" }, "Not among the legs"), table(["Recording", "Why"], call.missing)]
    : []);
  const seal = (call) => {
    const facts = [
      ["Call", id(call.call)], ["Account", id(call.account)],
      ...(call.plays ? [["Plays", leads(call.plays)], ["Its SHA-256", id(call.plays.sha256)]] : []),
      [`Manifest, revision ${call.revision}`, leads(call.manifest)],
      ["Its SHA-256", id(call.manifest.sha256)],
      ["Named by", call.digest ? leads(call.digest)
        : el("span", { class: "bad" }, "no digest named it yet when it was exported")],
      ...(call.cases.length ? [["Held for", call.cases.join(", ")]] : []),
    ];
    return [el("h3", {}, "Seal"),
      el("dl", { class: "seal" }, ...facts.flatMap(
        ([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("p", { class: "soft" }, HOW[call.how])];
  };

  // ---- the picture of a call
  const points = (text) => {
    const bytes = Int8Array.from(atob(text), (each) => each.charCodeAt(0));
    return Array.from({ length: bytes.length / 2 }, (_, at) => [bytes[2 * at], bytes[2 * at + 1]]);
  };
  const player = (call) => {
    const canvas = el("canvas", {
      click: (event) => {
        const box = canvas.getBoundingClientRect();
        seek(call, ((event.clientX - box.left) / box.width) * length(call));
      },
    });
    const wave = el("div", {
      class: call.legs.length > 1 ? "wave marked" : "wave", tabindex: 0, role: "slider",
      "aria-label": `Position in the call of ${title(call)}`, "aria-valuemin": 0,
      "aria-valuemax": Math.round(call.ms / 1000),
      keydown: (event) => {
        const to = { Home: 0, End: length(call) }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        seek(call, to);
      },
    }, canvas);
    const marks = call.legs.length > 1 ? call.legs.map((leg, at) => {
      const next = call.legs[at + 1], name = [at + 1, leg.who].filter(Boolean).join(" ");
      const label = `Leg ${name} begins at ${clock(leg.offset / 1000)}`;
      const mark = el("button", {
        type: "button", class: "marker", title: label, "aria-label": label,
        click: () => seek(call, leg.offset / 1000),
      }, el("span", {}, name));
      const share = (ms) => `${((100 * ms) / (call.ms || 1)).toFixed(3)}%`;
      mark.style.left = share(leg.offset);
      mark.style.width = share(Math.max(0, (next ? next.offset : call.ms) - leg.offset));
      return mark;
    }) : [];
    new ResizeObserver(() => draw(call, canvas)).observe(canvas);
    return [
      el("div", { class: "picture" }, wave, ...marks),
      el("div", { class: "row" },
        el("button", { type: "button", class: "play", click: () => toggle(call) }, "Play"),
        el("span", { class: "time" })),
    ];
  };
  const draw = (call, canvas) => {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    call.points ||= points(call.peaks);
    const loudest = Math.max(1, ...call.points.map(([low, high]) => Math.max(-low, high)));
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const colors = getComputedStyle(document.documentElement);
    const plain = colors.getPropertyValue("--wave"), done = colors.getPropertyValue("--accent");
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const step = 3, bars = Math.max(1, Math.floor(width / step));
    const played = (position(call) / (length(call) || 1)) * width;
    for (let bar = 0; bar < bars; bar += 1) {
      const first = Math.floor((bar * call.points.length) / bars);
      const after = Math.max(first + 1, Math.floor(((bar + 1) * call.points.length) / bars));
      let low = 0, high = 0;
      for (const [least, most] of call.points.slice(first, after)) {
        low = Math.min(low, least);
        high = Math.max(high, most);
      }
      const half = height / 2 - 2;
      const top = height / 2 - Math.max(0.75, (high / loudest) * half);
      const bottom = height / 2 + Math.max(0.75, (-low / loudest) * half);
      pen.fillStyle = bar * step < played ? done : plain;
      pen.fillRect(bar * step, top, step - 1, bottom - top);
    }
  };

  // ---- the player: one call at a time has a sound
  let current = null, audio = null, wanted = null;
  const length = (call) => {
    const known = call === current && audio && audio.duration;
    return Number.isFinite(known) && known ? known : call.ms / 1000;
  };
  const position = (call) => {
    if (call !== current) return call.position;
    return wanted === null ? audio.currentTime : wanted;
  };
  const say = (text) => { one("said").textContent = text; };
  const load = (call, at = call.position) => {
    if (audio) {
      if (current !== call) current.position = position(current);
      audio.pause();
    }
    const before = current;
    [current, wanted, audio] = [call, at, new Audio()];
    const made = audio;
    made.preload = "auto";
    made.addEventListener("loadedmetadata", () => {
      if (made !== audio) return;
      made.currentTime = wanted;
      wanted = null;
      show(call);
    });
    made.addEventListener("error", () => {
      if (made === audio) say(`${call.plays.name} is not there, or this browser cannot play it.`);
    });
    for (const event of ["timeupdate", "play", "pause", "ended", "seeked"]) {
      made.addEventListener(event, () => made === audio && show(call));
    }
    made.addEventListener("play", follow);
    say("");
    made.src = source(call);
    adjust();
    one("bar").hidden = false;
    if (before) show(before);
    show(call);
  };
  const follow = () => {
    if (audio.paused) return;
    show(current);
    requestAnimationFrame(follow);
  };
  const toggle = (call) => {
    if (!call.plays) return;
    if (call !== current) load(call);
    if (!audio.paused) audio.pause();
    else {
      if (context) context.resume();
      audio.play().catch((error) => {
        if (error.name !== "AbortError") say(`${call.plays.name} cannot be played here.`);
      });
    }
  };
  const seek = (call, seconds) => {
    if (!call.plays) return;
    const aim = Math.min(Math.max(0, seconds), length(call));
    if (call !== current) load(call, aim);
    else if (wanted !== null) wanted = aim; // nothing is loaded, so no place can be set yet
    else audio.currentTime = aim;
    show(call);
  };
  const step = (call, by) => seek(call, position(call) + by);
  const show = (call) => {
    const paused = call !== current || audio.paused, now = position(call);
    const parts = [call.row, call === current ? one("bar") : null].filter(Boolean);
    for (const part of parts) {
      for (const button of every(".play", part)) button.textContent = paused ? "Play" : "Pause";
      for (const each of every(".time", part)) {
        each.textContent = `${clock(now)} / ${clock(length(call))}`;
      }
    }
    if (call === current) one("playing").textContent = title(call);
    const wave = call.row && call.row.querySelector(".wave");
    if (!wave) return;
    wave.setAttribute("aria-valuenow", String(Math.round(now)));
    wave.setAttribute("aria-valuetext", `${clock(now)} of ${clock(length(call))}`);
    draw(call, wave.firstChild);
  };

  // ---- speed, volume, and both channels
  // A page that was opened from a disk hears only silence when it takes the sound of a file beside
  // it apart. A file that a person has chosen may be taken apart.
  let context = null, sides = [], chosen = [], blob = null;
  const served = location.protocol.startsWith("http");
  const pathOf = (call) => decodeURIComponent(call.plays.href.slice(1));
  const chosenFile = (call) => chosen.find(
    (file) => `/${file.webkitRelativePath}`.endsWith(pathOf(call)));
  const source = (call) => {
    const file = call.channels === 2 ? chosenFile(call) : null;
    if (blob) URL.revokeObjectURL(blob);
    blob = file ? URL.createObjectURL(file) : null;
    const apart = call.channels === 2 && (served || blob) && takeApart();
    one("channels").hidden = !apart;
    one("choose").hidden = apart || call.channels !== 2 || !window.AudioContext
      || !("webkitdirectory" in one("folder"));
    return blob || call.plays.href;
  };
  const takeApart = () => {
    if (!window.AudioContext) return false;
    context ||= new AudioContext();
    const splitter = context.createChannelSplitter(2);
    context.createMediaElementSource(audio).connect(splitter);
    sides = ["left-volume", "right-volume"].map((name, at) => {
      const gain = context.createGain(), pan = context.createStereoPanner();
      splitter.connect(gain, at).connect(pan).connect(context.destination);
      return { name, gain, pan, where: at ? 1 : -1 };
    });
    return true;
  };
  const adjust = () => {
    if (!audio) return;
    audio.playbackRate = Number(one("speed").value);
    audio.preservesPitch = true;
    audio.volume = Number(one("volume").value);
    const levels = sides.map(({ name }) => Number(one(name).value));
    sides.forEach(({ gain, pan, where }, at) => {
      gain.gain.value = levels[at];
      pan.pan.value = levels[1 - at] === 0 ? 0 : where; // alone it is heard with both ears
    });
  };
  for (const name of ["speed", "volume", "left-volume", "right-volume"]) {
    one(name).addEventListener("input", adjust);
  }
  one("folder").addEventListener("change", () => {
    chosen = [...one("folder").files];
    const playing = !audio.paused;
    if (!chosenFile(current)) {
      say(`${current.plays.name} is not in that folder: choose the folder of this package.`);
      return;
    }
    load(current, position(current));
    if (playing) toggle(current);
  });

  // ---- a link to a moment of a call
  const link = (call) => `#${new URLSearchParams({
    call: address(call), t: String(Math.floor(position(call))),
  })}`;
  const follows = () => {
    const asked = new URLSearchParams(location.hash.slice(1)), wish = asked.get("call");
    if (!wish) return;
    const call = calls.find((each) => address(each) === wish || each.call === wish);
    if (!call) {
      one("count").textContent = `The link's call is not in this package: ${wish}`;
      return;
    }
    reveal(call);
    seek(call, Number(asked.get("t")) || 0);
  };
  window.addEventListener("hashchange", follows);
  one("link").addEventListener("click", async () => {
    const place = link(current);
    history.replaceState(null, "", place);
    try {
      await navigator.clipboard.writeText(location.href);
      say(`The link to ${clock(position(current))} was copied.`);
    } catch {
      say(`The address of this page now leads to ${clock(position(current))}.`);
    }
  });

  // ---- what is clicked and pressed
  const bar = one("bar");
  bar.querySelector(".play").addEventListener("click", () => toggle(current));
  for (const each of every("[data-by]", bar)) {
    each.addEventListener("click", () => step(current, Number(each.dataset.by)));
  }
  one("playing").addEventListener("click", () => reveal(current));
  const help = () => one("help").showModal();
  document.querySelector(".ask").addEventListener("click", help);
  const selected = () => shown.findIndex(
    (call) => call.row && call.row.contains(document.activeElement));
  const move = (by) => {
    const at = selected(), to = at < 0 ? 0 : Math.min(Math.max(0, at + by), shown.length - 1);
    if (!shown[to]) return;
    more(to + 1);
    shown[to].row.querySelector("summary").focus();
  };
  const here = () => shown[selected()] || current || shown[0];
  const leg = (by) => {
    const call = here(), now = position(call);
    const starts = call.legs.map((each) => each.offset / 1000);
    const to = by > 0 ? starts.find((start) => start > now + 0.05)
      : starts.findLast((start) => start < now - 1);
    if (to !== undefined) seek(call, to);
  };
  const speed = (by) => {
    const choice = one("speed");
    choice.selectedIndex = Math.min(Math.max(0, choice.selectedIndex + by), choice.length - 1);
    adjust();
    say(`Speed ${choice.value}`);
  };
  const KEYS = {
    " ": () => toggle(here()),
    ArrowLeft: () => step(here(), -STEP), ArrowRight: () => step(here(), STEP),
    "[": () => leg(-1), "]": () => leg(1), "-": () => speed(-1), "+": () => speed(1),
    j: () => move(1), k: () => move(-1), "?": help, "/": () => one("search").focus(),
  };
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || one("help").open) return;
    if (key === "Escape" && target === one("search")) {
      target.value = "";
      list();
    }
    const typing = target.matches("input, select") || (key === " " && target.matches("button, a"));
    if (typing || !KEYS[key] || !here()) return;
    event.preventDefault();
    KEYS[key]();
  });
  document.addEventListener("keyup", (event) => {
    // Else Space would open the call too, in some browsers.
    if (event.key === " " && event.target.matches("summary")) event.preventDefault();
  });

  const tools = document.querySelector(".tools");
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", (event) => {
    if (event.target === one("zone")) useZone(one("zone").value);
    list();
  });
  tools.addEventListener("reset", () => setTimeout(() => {
    one("zone").value = times.resolvedOptions().timeZone;
    list();
  }));
  const openAll = (yes) => {
    for (const call of shown) {
      call.open = yes;
      if (call.row) call.row.querySelector("details").open = yes;
    }
    for (const call of calls) if (!call.row?.isConnected) call.row = null;
  };
  one("open").addEventListener("click", () => openAll(true));
  one("close").addEventListener("click", () => openAll(false));
  one("more").addEventListener("click", () => more());
  new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && more(),
    { rootMargin: "1000px" }).observe(one("more"));
  window.addEventListener("beforeprint", () => more(shown.length));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const call of shown.slice(0, rendered)) show(call);
  });

  // ---- the beginning
  const offer = (name, values) => {
    one(name).append(...values.map(([value, text]) => el("option", { value }, text)));
    one(name).parentElement.hidden = values.length < 2 && name !== "zone";
  };
  const distinct = (of) => [...new Set(calls.flatMap(of))].filter(Boolean);
  offer("person", distinct((call) => call.persons).sort((a, b) => a.localeCompare(b))
    .map((each) => [each, each]));
  offer("provider", distinct((call) => call.provider).map(
    (each) => [each, calls.find((call) => call.provider === each).providerName]));
  offer("direction", distinct((call) => call.direction).map((each) => [each, each]));
  offer("zone", [...new Map([
    ["UTC", "UTC"], [exportZone, `the export's: ${exportZone}`], [ownZone, `yours: ${ownZone}`],
    ["UTC", "UTC"],
  ])]);
  const begin = one("zone").querySelector(`option[value="${CSS.escape(exportZone)}"]`);
  if (begin) begin.selected = true;
  useZone(one("zone").value);
  list();
  follows();
})();
