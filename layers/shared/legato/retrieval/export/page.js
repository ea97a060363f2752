// Plays the calls of a package. Nothing is loaded but the audio beside this page.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const every = (part, what) => [...part.querySelectorAll(what)];
  const calls = every(document, "article");
  let current = null;

  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (number) => String(number).padStart(2, "0");
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  };

  const points = (text) => {
    const bytes = Int8Array.from(atob(text), (each) => each.charCodeAt(0));
    return Array.from({ length: bytes.length / 2 }, (_, at) => [bytes[2 * at], bytes[2 * at + 1]]);
  };

  // One call: its sound, its picture, and what is clicked.
  const player = (article) => {
    const one = (what) => article.querySelector(what);
    const audio = one("audio"), wave = one(".wave"), canvas = one("canvas");
    const play = one(".play"), time = one(".time"), trouble = one(".trouble");
    const peaks = points(canvas.dataset.peaks);
    const loudest = Math.max(1, ...peaks.map(([low, high]) => Math.max(-low, high)));
    const stated = Number(canvas.dataset.ms) / 1000;
    const length = () => (Number.isFinite(audio.duration) && audio.duration) || stated;
    let wanted = null;

    const now = () => (wanted === null ? audio.currentTime : wanted);

    const draw = () => {
      const ratio = window.devicePixelRatio || 1;
      const width = canvas.clientWidth, height = canvas.clientHeight;
      if (!width) return;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const colors = getComputedStyle(document.documentElement);
      const plain = colors.getPropertyValue("--wave"), done = colors.getPropertyValue("--accent");
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      const step = 3, bars = Math.max(1, Math.floor(width / step));
      const played = (now() / (length() || 1)) * width;
      for (let bar = 0; bar < bars; bar += 1) {
        const first = Math.floor((bar * peaks.length) / bars);
        const after = Math.max(first + 1, Math.floor(((bar + 1) * peaks.length) / bars));
        let low = 0, high = 0;
        for (const [one, other] of peaks.slice(first, after)) {
          low = Math.min(low, one);
          high = Math.max(high, other);
        }
        const half = height / 2 - 2;
        const top = height / 2 - Math.max(0.75, (high / loudest) * half);
        const bottom = height / 2 + Math.max(0.75, (-low / loudest) * half);
        pen.fillStyle = bar * step < played ? done : plain;
        pen.fillRect(bar * step, top, step - 1, bottom - top);
      }
    };

    const show = () => {
      draw();
      time.textContent = `${clock(now())} / ${clock(length())}`;
      wave.setAttribute("aria-valuenow", String(Math.round(now())));
      wave.setAttribute("aria-valuetext", `${clock(now())} of ${clock(length())}`);
      play.textContent = audio.paused ? "Play" : "Pause";
    };

    const seek = (seconds) => {
      const aim = Math.min(Math.max(0, seconds), length());
      // Where nothing is loaded yet, a place cannot be set.
      if (audio.readyState === 0) {
        wanted = aim;
        audio.preload = "auto";
        audio.load();
      } else {
        audio.currentTime = aim;
      }
      show();
    };

    const start = () => {
      if (current && current !== audio) current.pause();
      current = audio;
      audio.play().catch((error) => {
        if (error.name === "AbortError") return;
        trouble.textContent = `This browser cannot play ${audio.getAttribute("src")}.`;
      });
    };
    const toggle = () => (audio.paused ? start() : audio.pause());

    audio.addEventListener("loadedmetadata", () => {
      if (wanted !== null) audio.currentTime = wanted;
      wanted = null;
      show();
    });
    audio.addEventListener("error", () => {
      trouble.textContent = `${audio.getAttribute("src")} is not there, or cannot be played.`;
    });
    for (const event of ["timeupdate", "play", "pause", "ended", "seeked"]) {
      audio.addEventListener(event, show);
    }
    const follow = () => {
      if (audio.paused) return;
      show();
      requestAnimationFrame(follow);
    };
    audio.addEventListener("play", follow);

    play.addEventListener("click", toggle);
    for (const button of every(article, "[data-by]")) {
      button.addEventListener("click", () => seek(now() + Number(button.dataset.by)));
    }
    for (const button of every(article, "[data-ms]:not(canvas)")) {
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        seek(Number(button.dataset.ms) / 1000);
      });
    }
    for (const marker of every(wave, ".marker")) {
      marker.style.left = `${(Number(marker.dataset.ms) / 10 / (stated || 1)).toFixed(3)}%`;
    }
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * length());
    });
    wave.addEventListener("keydown", (event) => {
      if (event.target !== wave) return;
      const keys = {
        " ": toggle, Enter: toggle, Home: () => seek(0), End: () => seek(length()),
        ArrowLeft: () => seek(now() - 5), ArrowRight: () => seek(now() + 5),
        j: () => seek(now() - 10), l: () => seek(now() + 10), k: toggle,
      };
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    one("details").addEventListener("toggle", show);
    show();
    return show;
  };

  const shows = calls.map(player);
  const again = () => shows.forEach((show) => show());
  window.addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

  // What is looked for: words anywhere in a call, or digits of a number in any notation.
  const search = document.getElementById("search"), count = document.getElementById("count");
  const texts = calls.map((article) => article.textContent.toLowerCase());
  const find = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const digits = /^[\d\s+().\/-]{3,}$/.test(search.value.trim())
      ? search.value.replace(/\D/g, "").replace(/^0+/, "") : "";
    let found = 0;
    calls.forEach((article, at) => {
      const named = words.every((word) => texts[at].includes(word));
      const numbered = digits.length >= 3 && article.dataset.digits.includes(digits);
      article.hidden = !(named || numbered);
      found += named || numbered ? 1 : 0;
    });
    count.textContent = found === calls.length ? `${found} calls` : `${found} of ${calls.length}`;
  };
  search.addEventListener("input", find);
  find();
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.activeElement === search) {
      search.value = "";
      find();
    }
  });

  const open = (yes) => every(document, "article > details").forEach((each) => { each.open = yes; });
  document.getElementById("open").addEventListener("click", () => open(true));
  document.getElementById("close").addEventListener("click", () => open(false));
  window.addEventListener("beforeprint", () => { open(true); again(); });
})();
