const D = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page"), tip = document.getElementById("tip");

/* ------------------------------------------------------------------ making elements */

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "text") node.textContent = value;
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children) if (child) node.append(child);
  return node;
}
const html = (tag, attributes, ...children) =>
  put(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/* Charts are drawn for the width that they get, and again when that changes. */
const charts = [];
function chart(draw, options) {
  const place = html("div", { class: options && options.scroll ? "scroll" : null });
  charts.push({ place, draw, width: 0 });
  return place;
}
function redraw() {
  for (const c of charts) {
    const width = Math.floor(c.place.clientWidth);
    if (!width || width === c.width) continue;
    c.width = width;
    c.place.replaceChildren(c.draw(width));
  }
}

function card(title, note, content, options) {
  const o = options || {};
  return html("figure", { class: o.wide ? "card wide" : "card", "data-chart": o.id || title },
    html("div", { class: "head" }, html("h3", { text: title }), o.button),
    note ? html("p", { class: "note", text: note }) : null, content, o.below);
}
function section(title, ...cards) {
  const some = cards.filter(Boolean);
  if (some.length) page.append(html("h2", { text: title }), html("div", { class: "cards" }, ...some));
}
function legend(entries) {
  return html("div", { class: "legend" },
    ...entries.map(([name, color]) => html("span", { text: name, style: "--c:" + color })));
}

/* What the pointer is over says more. */
function says(node, text) {
  node.addEventListener("pointerenter", (e) => showTip(e, text));
  node.addEventListener("pointermove", (e) => showTip(e, text));
  node.addEventListener("pointerleave", () => { tip.hidden = true; });
  return node;
}
function showTip(e, text) {
  tip.textContent = text;
  tip.hidden = false;
  const x = Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const y = e.clientY + 18 + tip.offsetHeight > innerHeight ? e.clientY - tip.offsetHeight - 12
    : e.clientY + 18;
  tip.style.left = Math.max(4, x) + "px";
  tip.style.top = Math.max(4, y) + "px";
}

/* ------------------------------------------------------------------ numbers and colours */

const isNumber = (x) => typeof x === "number" && isFinite(x);
function short(x) {
  if (!isNumber(x)) return "–";
  const a = Math.abs(x);
  if (a && (a < 1e-3 || a >= 1e5)) return x.toExponential(1).replace("e+", "e");
  return String(+x.toPrecision(4));
}
function ofTime(s) {
  if (!isNumber(s)) return "–";
  const [scale, unit] = s >= 1 ? [1, "s"] : s >= 1e-3 ? [1e3, "ms"] : s >= 1e-6 ? [1e6, "µs"]
    : [1e9, "ns"];
  return +(s * scale).toPrecision(3) + " " + unit;
}
function ofBytes(b) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let k = 0;
  for (; k < 3 && b >= 1024; k++) b /= 1024;
  return +b.toPrecision(3) + " " + units[k];
}
const percent = (x) => (isNumber(x) ? +(100 * x).toPrecision(3) + "%" : "–");
const cut = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);

/* Even steps of lightness; the stops are cividis's and viridis's relatives for colour-blind eyes. */
const EVEN = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const TURN = [[33, 90, 150], [120, 168, 208], [245, 244, 242], [232, 160, 110], [166, 70, 20]];
function colour(stops, t) {
  const at = Math.min(Math.max(isNumber(t) ? t : 0, 0), 1) * (stops.length - 1);
  const k = Math.min(Math.floor(at), stops.length - 2);
  return stops[k].map((c, i) => Math.round(c + (stops[k + 1][i] - c) * (at - k)));
}
const css = (c) => "rgb(" + c.join(",") + ")";
const light = (c) => (0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]) / 255;
/* Paul Tol's muted colours. */
const KINDS = [[92, 80, 200], [221, 170, 51], [17, 119, 51], [204, 102, 119], [136, 204, 238],
  [68, 170, 153], [136, 34, 85], [170, 68, 153], [153, 153, 51], [120, 120, 120]];
const kind = (k) => KINDS[k % KINDS.length];

/* A picture: red, green, blue, and perhaps alpha, of each place. */
function pictureOf(width, height, pixel) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), data = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b, alpha] = pixel(i);
    data.data.set([r, g, b, alpha === undefined ? 255 : alpha], 4 * i);
  }
  context.putImageData(data, 0, 0);
  return canvas.toDataURL();
}
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/* ------------------------------------------------------------------ axes */

function ticks(low, high, n) {
  const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw * 0.999) * power, list = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-9; x += step)
    list.push(Math.abs(x) < step * 1e-9 ? 0 : x);
  return list;
}
function logTicks(low, high) {
  const list = [], stride = Math.max(1, Math.ceil((high - low) / 7));
  for (let p = Math.floor(low); p <= Math.ceil(high); p += stride)
    for (const m of high - low < 1.5 ? [1, 2, 5] : [1]) {
      const x = p + Math.log10(m);
      if (x >= low - 1e-9 && x <= high + 1e-9) list.push(x);
    }
  return list.length > 1 ? list : [low, high];
}

/* A frame with axes: where numbers lie in it, and the drawing to put marks into. */
function axes(o) {
  const left = o.left || 54, right = 10, top = 8, bottom = o.xlabel ? 40 : 24;
  const x = (v) => left + (o.width - left - right) * (o.x1 > o.x0 ? (v - o.x0) / (o.x1 - o.x0) : .5);
  const y = (v) => o.height - bottom - (o.height - top - bottom) *
    (o.y1 > o.y0 ? (v - o.y0) / (o.y1 - o.y0) : .5);
  const root = svg("svg", { width: o.width, height: o.height, role: "img", "aria-label": o.label });
  const yTicks = o.log ? logTicks(o.y0, o.y1) : ticks(o.y0, o.y1, 5);
  for (const t of yTicks)
    root.append(svg("line", { class: "grid", x1: left, x2: o.width - right, y1: y(t), y2: y(t) }),
      svg("text", { x: left - 7, y: y(t) + 4, "text-anchor": "end",
        text: short(o.log ? 10 ** t : t) }));
  for (const t of ticks(o.x0, o.x1, o.width < 420 ? 4 : 7).filter((v) => !o.whole || v % 1 === 0))
    root.append(svg("text", { x: x(t), y: o.height - bottom + 17, "text-anchor": "middle",
      text: short(t) }));
  root.append(svg("line", { class: "axis", x1: left, x2: o.width - right, y1: o.height - bottom,
    y2: o.height - bottom }));
  if (o.xlabel)
    root.append(svg("text", { x: (left + o.width - right) / 2, y: o.height - 4,
      "text-anchor": "middle", text: o.xlabel }));
  if (o.ylabel)
    root.append(svg("text", { transform: `translate(11 ${(o.height - bottom + top) / 2}) rotate(-90)`,
      "text-anchor": "middle", text: o.ylabel }));
  return { root, x, y, left, right: o.width - right, top, bottom: o.height - bottom };
}

/* ------------------------------------------------------------------ curves */

/* series: {name, color, x, y}; a y of three numbers is minimum, mean and maximum. */
function curves(o) {
  const mean = (v) => (Array.isArray(v) ? v[1] : v);
  let log = Boolean(o.log);
  const all = o.series.filter((s) => s.y.some((v) => isNumber(mean(v))));
  if (!all.length) return null;
  const positive = all.every((s) => s.y.every((v) => !isNumber(mean(v)) || mean(v) > 0));
  const place = chart((width) => {
    const to = (v) => (isNumber(v) ? (log ? (v > 0 ? Math.log10(v) : NaN) : v) : NaN);
    const ys = all.flatMap((s) => s.y.flat().map(to).filter(isNumber));
    const xs = all.flatMap((s) => s.x.map(mean));
    let y0 = ys.reduce((a, b) => Math.min(a, b)), y1 = ys.reduce((a, b) => Math.max(a, b));
    const margin = y1 > y0 ? 0.04 * (y1 - y0) : (log ? 0 : Math.abs(y0) / 2) || 1;
    y0 = !log && y0 >= 0 && y0 < margin * 6 ? 0 : y0 - margin;
    y1 += margin;
    const a = axes({ width, height: 250, x0: xs.reduce((p, q) => Math.min(p, q)),
      x1: xs.reduce((p, q) => Math.max(p, q)), y0, y1, log, xlabel: o.xlabel, whole: true,
      label: o.label });
    const path = (s, pick) => {
      let text = "", pen = "M";
      s.y.forEach((v, i) => {
        const at = to(pick(v));
        if (!isNumber(at)) { pen = "M"; return; }
        text += pen + a.x(mean(s.x[i])).toFixed(1) + " " + a.y(at).toFixed(1);
        pen = "L";
      });
      return text;
    };
    for (const s of all) {
      if (s.y.some(Array.isArray)) {
        const low = s.y.map((v, i) => [a.x(mean(s.x[i])), a.y(to(v[0]))]);
        const high = s.y.map((v, i) => [a.x(mean(s.x[i])), a.y(to(v[2]))]).reverse();
        const ring = low.concat(high).filter((p) => p.every(isNumber));
        a.root.append(svg("path", { d: "M" + ring.map((p) => p.map((q) => q.toFixed(1))).join("L") +
          "Z", fill: s.color, opacity: .22 }));
      }
      a.root.append(svg("path", { class: "curve", d: path(s, mean), stroke: s.color, "data-mark": 1 }));
      if (s.y.length === 1)
        a.root.append(svg("circle", { cx: a.x(mean(s.x[0])), cy: a.y(to(mean(s.y[0]))), r: 3,
          fill: s.color }));
    }
    const hair = svg("line", { class: "axis", y1: a.top, y2: a.bottom, visibility: "hidden" });
    const area = svg("rect", { x: a.left, y: a.top, width: a.right - a.left,
      height: a.bottom - a.top, fill: "transparent" });
    a.root.append(hair, area);
    area.addEventListener("pointermove", (e) => {
      const at = e.clientX - a.root.getBoundingClientRect().left, lead = all[0];
      let best = 0;
      lead.x.forEach((v, i) => {
        if (Math.abs(a.x(mean(v)) - at) < Math.abs(a.x(mean(lead.x[best])) - at)) best = i;
      });
      const x = a.x(mean(lead.x[best]));
      put(hair, { x1: x, x2: x, visibility: "visible" }, []);
      showTip(e, `${o.xlabel} ${short(mean(lead.x[best]))}\n` + all.map((s) => {
        const v = s.y[best];
        return s.name + ": " + (Array.isArray(v) ? v.map(short).join(" … ") : short(v));
      }).join("\n"));
    });
    area.addEventListener("pointerleave", () => { tip.hidden = true; put(hair, { visibility: "hidden" }, []); });
    return a.root;
  });
  const button = positive ? html("button", { type: "button", "aria-pressed": log, text: "log" }) : null;
  if (button)
    button.addEventListener("click", () => {
      log = !log;
      button.setAttribute("aria-pressed", log);
      charts.forEach((c) => { if (c.place === place) c.width = 0; });
      redraw();
    });
  return card(o.title, o.note, place, { id: o.id, button, wide: o.wide,
    below: all.length > 1 ? legend(all.map((s) => [s.name, s.color])) : null });
}

function learning() {
  const e = D.epochs, s = D.steps, held = D.held;
  const thin = (h) => (h.thinned ? ` ${h.n} points, drawn as minimum, mean and maximum of `
    + `${h[Object.keys(h)[2]].length} equal stretches.` : "");
  const score = D.task === "regression" ? "R²" : "accuracy";
  const steps = (values) => values.map((_, i) => 1 + (i + .5) * s.n / values.length - .5);
  const layers = (D.layers || []).filter((l) => /weight|w\d|kernel/i.test(l.name));
  section("Learning",
    e.n ? curves({ id: "loss", title: "Loss", xlabel: "epoch", label: "loss by epoch",
      note: "Training: as the epoch went along." + thin(e),
      series: [{ name: "training", color: "var(--accent)", x: e.epoch, y: e.train_loss },
        { name: held, color: "var(--second)", x: e.epoch, y: e.held_loss }] }) : null,
    e.n ? curves({ id: "score", title: score[0].toUpperCase() + score.slice(1), xlabel: "epoch",
      label: score + " by epoch", note: thin(e).trim() || null,
      series: [{ name: "training", color: "var(--accent)", x: e.epoch, y: e.train_score },
        { name: held, color: "var(--second)", x: e.epoch, y: e.held_score }] }) : null,
    s.n ? curves({ id: "steps", title: "Loss of each step", xlabel: "step", label: "loss by step",
      note: thin(s).trim() || null,
      series: [{ name: "loss", color: "var(--accent)", x: steps(s.loss), y: s.loss }] }) : null,
    s.n ? curves({ id: "norm", title: "Gradient norm", xlabel: "step", label: "gradient norm by step",
      note: "Of all gradients together, before clipping." + thin(s), log: true,
      series: [{ name: "norm", color: "var(--accent)", x: steps(s.norm), y: s.norm }] }) : null,
    s.n ? curves({ id: "rate", title: "Learning rate", xlabel: "step", label: "learning rate by step",
      note: thin(s).trim() || null,
      series: [{ name: "rate", color: "var(--accent)", x: steps(s.rate), y: s.rate }] }) : null,
    layers.length && layers[0].epochs.length ? curves({ id: "ratio", title: "Update to weight",
      xlabel: "epoch", label: "norm of the update over the norm of the weights", log: true,
      note: "Norm of an epoch's last update over that of the weights: about 1e-3 is usual.",
      series: layers.slice(0, 8).map((l, k) => ({ name: l.name, color: css(kind(k)), x: l.epochs,
        y: l.ratio })) }) : null);
}

/* ------------------------------------------------------------------ the head */

function head() {
  document.title = (D.title || "tapegrad") + " – tapegrad";
  const metric = D.task === "regression" ? "r2" : "accuracy";
  const name = D.task === "regression" ? "R²" : "accuracy";
  const box = (value, text) => html("div", { class: "score" }, html("b", { text: value }),
    html("span", { class: "soft small", text }));
  const of = (set, text) => {
    if (!set) return [];
    const boxes = isNumber(set[metric]) ? [box(percent(set[metric]).replace("%", metric === "r2" ? "" :
      "%"), `${name}, ${text}`)] : [];
    if (metric === "r2" && isNumber(set.r2)) boxes[0] = box(short(set.r2), `${name}, ${text}`);
    boxes.push(box(short(set.loss), `loss, ${text}`));
    if (isNumber(set.rmse)) boxes.push(box(short(set.rmse), `RMSE, ${text}`));
    return boxes;
  };
  page.append(html("h1", { text: D.title || "A training" }),
    html("p", { class: "soft", text: `${D.task}, target ${D.target}; ${D.n_features} features, `
      + `${D.n_parameters} parameters` }),
    html("div", { class: "scores" }, ...of(D.scores.held, D.held), ...of(D.scores.train, "training")));
  const facts = [["data", D.data], ["rows", `${D.scores.train.rows} to train on`
    + (D.scores.held ? `, ${D.scores.held.rows} ${D.held}` : "")], ["seed", D.seed],
  ["epochs", D.epochs.n + (D.epochs.n ? `, ${ofTime(last(D.epochs.seconds))}` : "")],
  ["loss", D.head], ["tapegrad", D.version], ["fingerprint of the weights", D.fingerprint]];
  for (const line of (D.settings || "").split("\n").filter(Boolean)) {
    const at = line.indexOf(": ");
    facts.push([line.slice(0, at), line.slice(at + 2)]);
  }
  page.append(html("dl", { class: "facts" }, ...facts.filter((f) => f[1] !== undefined).flatMap(
    ([a, b]) => [html("dt", { text: a }), html("dd", { text: b })])));
  if (D.command) page.append(html("pre", { text: D.command }));
}
const last = (list) => { const v = list[list.length - 1]; return Array.isArray(v) ? v[1] : v; };

/* ------------------------------------------------------------------ right and wrong */

function exampleOf(e) {
  const text = `row ${e.row}: ${D.labels[e.actual]}, taken for ${D.labels[e.predicted]}, `
    + `p = ${short(e.p)}`;
  if (e.image) {
    const b = bytesOf(e.image), url = pictureOf(D.side, D.side, (i) => [b[i], b[i], b[i]]);
    return html("figure", {}, html("img", { src: url, width: 84, height: 84, alt: text }),
      html("figcaption", { text: `row ${e.row}, p ${short(e.p)}` }));
  }
  return html("figure", {}, html("div", { class: "ink", text }), html("div", {
    text: e.x.map((v, k) => `${D.features[k]} ${short(v)}`).join(", ")
      + (D.n_features > e.x.length ? ", …" : "") }));
}

function confusion() {
  if (!D.confusion) return null;
  const n = D.labels.length, worst = html("div", { class: "worst" });
  const rowSum = D.confusion.map((r) => r.reduce((a, b) => a + b, 0));
  const choose = (a, b) => {
    const some = D.examples.filter((e) => e.actual === a && e.predicted === b);
    worst.replaceChildren(...(some.length ? some.map(exampleOf) : [html("span", { class: "note",
      text: a === b ? "These are right." : `No ${D.labels[a]} was taken for ${D.labels[b]}.` })]));
  };
  const place = chart((width) => {
    const long = Math.max(...D.labels.map((l) => l.length));
    const left = Math.min(16 + 7 * Math.min(long, 16), width * .35);
    const size = Math.max(Math.min((width - left - 4) / n, 64), 9);
    const root = svg("svg", { width: left + size * n + 4, height: 44 + size * n, role: "img",
      "aria-label": "confusion matrix" });
    root.append(svg("text", { x: left, y: 12, text: "predicted →" }));
    for (let a = 0; a < n; a++) {
      root.append(svg("text", { x: left - 6, y: 40 + size * (a + .5) + 4, "text-anchor": "end",
        class: "ink", text: cut(D.labels[a], 16) }));
      if (size > 7 * Math.min(long, 6))
        root.append(svg("text", { x: left + size * (a + .5), y: 32, "text-anchor": "middle",
          class: "ink", text: cut(D.labels[a], Math.max(1, Math.floor(size / 7))) }));
      for (let b = 0; b < n; b++) {
        const count = D.confusion[a][b], share = rowSum[a] ? count / rowSum[a] : 0;
        const c = colour(EVEN, share);
        const cell = svg("g", { class: "cell", tabindex: count ? 0 : null, "data-mark": 1 },
          svg("rect", { x: left + size * b + .5, y: 40 + size * a + .5, width: size - 1,
            height: size - 1, rx: 3, fill: count ? css(c) : "var(--box)" }));
        if (count && size > 18)
          cell.append(svg("text", { x: left + size * (b + .5), y: 40 + size * (a + .5) + 4,
            "text-anchor": "middle", style: `fill:${light(c) > .55 ? "#111" : "#fff"}`,
            text: count }));
        cell.addEventListener("click", () => choose(a, b));
        cell.addEventListener("keydown", (e) => { if (e.key === "Enter") choose(a, b); });
        says(cell, `${D.labels[a]} taken for ${D.labels[b]}: ${count} (${percent(share)})`);
        root.append(cell);
      }
    }
    return root;
  }, { scroll: true });
  const count = (e) => D.confusion[e.actual][e.predicted];
  const first = D.examples.reduce((a, b) => (a && count(a) >= count(b) ? a : b), null);
  if (first) choose(first.actual, first.predicted);
  return card("Confusions", `${D.looked_at} rows. Down: the true class; colour: share of its rows. `
    + "A cell shows the examples that it was surest of.", place, { id: "confusion", below: worst });
}

function calibration() {
  if (!D.calibration || !D.calibration.length) return null;
  return card("Calibration", "How often it is right where it says so much; a dot's area is the "
    + "number of rows.", chart((width) => {
    const most = Math.max(...D.calibration.map((c) => c[0]));
    const a = axes({ width, height: Math.min(300, width), x0: 0, x1: 1, y0: 0, y1: 1,
      xlabel: "probability of the predicted class", label: "calibration" });
    a.root.append(svg("line", { x1: a.x(0), y1: a.y(0), x2: a.x(1), y2: a.y(1), class: "axis",
      "stroke-dasharray": "4 4" }));
    for (const [n, p, right] of D.calibration)
      a.root.append(says(svg("circle", { cx: a.x(p), cy: a.y(right), "data-mark": 1,
        r: 3 + 11 * Math.sqrt(n / most), fill: "var(--accent)", opacity: .75 }),
      `says ${percent(p)}, is right ${percent(right)}\n${n} rows`));
    return a.root;
  }), { id: "calibration" });
}

function predicted() {
  if (!D.predicted) return null;
  const all = D.predicted.flat(), low = Math.min(...all), high = Math.max(...all);
  return card("Predicted and true", `${D.predicted.length} rows; on the line it is right.`,
    chart((width) => {
      const a = axes({ width, height: Math.min(360, width), x0: low, x1: high, y0: low, y1: high,
        xlabel: "true " + D.target, label: "predicted against true" });
      a.root.append(svg("line", { x1: a.x(low), y1: a.y(low), x2: a.x(high), y2: a.y(high),
        class: "axis" }));
      for (const [x, y] of D.predicted)
        a.root.append(says(svg("circle", { cx: a.x(x), cy: a.y(y), r: 3, fill: "var(--accent)",
          opacity: .55, "data-mark": 1 }), `true ${short(x)}, predicted ${short(y)}`));
      return a.root;
    }), { id: "predicted" });
}

/* ------------------------------------------------------------------ what it looks at */

function surface() {
  const f = D.surface;
  if (!f) return null;
  const classes = D.labels || [], spread = f.value.concat(f.points.map((p) => p[2])).filter(isNumber);
  const low = Math.min(...spread), high = Math.max(...spread);
  const tone = (v) => colour(EVEN, high > low ? (v - low) / (high - low) : .5);
  const url = pictureOf(f.grid, f.grid, (i) => {
    const k = (f.grid - 1 - Math.floor(i / f.grid)) * f.grid + i % f.grid;
    if (!f.class) return tone(f.value[k]);
    /* paler where it is less sure */
    const base = 1 / Math.max(classes.length, 2), sure = (f.value[k] - base) / (1 - base);
    return kind(f.class[k]).map((c) => Math.round(c + (250 - c) * (.85 - .5 * sure)));
  });
  const share = f.names.length ? "" : ` They hold ${percent(f.share[0] + f.share[1])} of the spread.`;
  const name = (k) => f.names[k] || `principal direction ${k + 1} (${percent(f.share[k])})`;
  const place = chart((width) => {
    const a = axes({ width, height: Math.min(420, Math.max(280, width * .8)), x0: f.box[0],
      x1: f.box[1], y0: f.box[2], y1: f.box[3], xlabel: name(0), ylabel: name(1), left: 66,
      label: "decision surface" });
    a.root.append(svg("image", { href: url, x: a.left, y: a.top, width: a.right - a.left,
      height: a.bottom - a.top, preserveAspectRatio: "none", "data-mark": 1 }));
    for (const [x, y, c] of f.points)
      a.root.append(says(svg("circle", { cx: a.x(x), cy: a.y(y), r: 3.4, stroke: "#fff",
        "stroke-width": 1, fill: css(f.class ? kind(c) : tone(c)), "data-mark": 1 }),
      f.class ? classes[c] : D.target + " " + short(c)));
    return a.root;
  });
  return card("Its answers over the data", (f.names.length ? "Over the two features."
    : "Over the plane in which the data spreads most; other directions at their mean.") + share
    + (f.class ? " Paler: less sure." : ` From ${short(low)} (dark) to ${short(high)} (bright).`),
  place, { id: "surface", below: f.class && classes.length <= 20
    ? legend(classes.map((l, k) => [l, css(kind(k))])) : null });
}

function bars(rows, o) {
  return chart((width) => {
    const left = Math.min(width * .42, 16 + 6.6 * Math.max(...rows.map((r) => Math.min(r.name.length, 30))));
    const top = Math.max(...rows.map((r) => r.value), 1e-30), height = 22;
    const root = svg("svg", { width, height: rows.length * height + 4, role: "img",
      "aria-label": o.label });
    rows.forEach((r, k) => {
      const w = Math.max((width - left - 62) * Math.max(r.value, 0) / top, 1);
      root.append(says(svg("g", { "data-mark": 1 },
        svg("text", { x: left - 8, y: k * height + 15, "text-anchor": "end", class: "ink",
          text: cut(r.name, Math.max(8, Math.floor(left / 6.8))) }),
        svg("rect", { x: left, y: k * height + 4, width: w, height: height - 8, rx: 3,
          fill: r.color || "var(--accent)" }),
        svg("text", { x: left + w + 6, y: k * height + 15, text: r.text })), r.says));
    });
    return root;
  });
}

function importance() {
  if (!D.importance || !D.importance.length) return null;
  const rows = D.importance.slice().sort((a, b) => b.rise - a.rise).slice(0, 20);
  return card("Which features matter", "How much the loss rises when a feature's values are dealt "
    + "out anew among the rows." + (D.importance.length > 20 ? ` The first 20 of `
    + `${D.importance.length}.` : ""), bars(rows.map((r) => ({ name: r.name, value: r.rise,
    text: short(r.rise), says: `${r.name}: loss +${short(r.rise)}` })), { label: "importance" }),
  { id: "importance" });
}

function filters() {
  const f = D.filters;
  if (!f) return null;
  return card("The first layer's weights", `${f.name}: ${f.images.length} of ${f.of} units as `
    + "images, each on its own scale; blue is negative, orange positive.",
  html("div", { class: "images" }, ...f.images.map((text, k) => {
    const b = bytesOf(text);
    return says(html("img", { src: pictureOf(D.side, D.side, (i) => colour(TURN, b[i] / 255)),
      alt: `weights of unit ${k}`, "data-mark": 1 }), `unit ${k}: ±${short(f.scales[k])}`);
  })), { id: "filters" });
}

/* ------------------------------------------------------------------ layers */

/* Histograms over epochs: a column for each epoch, colour the share of the elements. */
function ridges(layer, what) {
  const list = layer[what].filter((h) => isNumber(h[0]));
  if (!list.length) return null;
  const low = Math.min(...list.map((h) => h[0])), high = Math.max(...list.map((h) => h[1]));
  const bins = 32, rows = 48, n = list.length;
  const shares = list.map((h) => {
    const total = h.slice(2).reduce((a, b) => a + b, 0), out = new Array(rows).fill(0);
    const unit = high > low ? rows / (high - low) : 0;
    for (let b = 0; b < bins; b++) {
      const width = (h[1] - h[0]) / bins, from = unit ? (h[0] + width * b - low) * unit : rows / 2;
      const to = Math.max(from + 1e-6, from + width * unit);
      for (let row = Math.floor(from); row < to && row < rows; row++)
        out[Math.max(row, 0)] += h[2 + b] / total * (Math.min(to, row + 1) - Math.max(from, row))
          / (to - from);
    }
    return out;
  });
  const most = Math.max(...shares.flat());
  const url = pictureOf(n, rows, (i) => [47, 111, 159,
    255 * Math.sqrt(shares[i % n][rows - 1 - Math.floor(i / n)] / most)]);
  return chart((width) => {
    const a = axes({ width, height: 150, x0: layer.epochs[0] - .5, x1: layer.epochs[layer.epochs.length
      - 1] + .5, y0: low, y1: high > low ? high : low + 1, xlabel: "epoch", label: what });
    a.root.append(svg("image", { href: url, x: a.left, y: a.top, width: a.right - a.left,
      height: a.bottom - a.top, preserveAspectRatio: "none", style: "image-rendering:pixelated",
      "data-mark": 1 }));
    return a.root;
  });
}
function layers() {
  const some = (D.layers || []).filter((l) => l.epochs.length).slice(0, 12);
  section("Weights and gradients", ...some.map((l) => card(`${l.name} ${l.shape}`,
    "Above the weights, below the gradients of an epoch's last step; stronger: many elements.",
    html("div", {}, ridges(l, "weights"), ridges(l, "gradients")), { id: "layer " + l.name })));
}

/* ------------------------------------------------------------------ time */

const heat = (t) => colour([[222, 232, 242], [160, 190, 216], [240, 190, 130], [205, 90, 40]], t);
const way = (s) => (s.backward <= 0 ? "forward" : s.backward >= 1 ? "backward"
  : "forward and backward");
function sayStep(s, total) {
  return `${s.name} ${s.shape}\n${way(s)}${s.fused ? ", one pass" : ""}\n`
    + `${ofTime(s.seconds / s.runs)} a run, ${percent(s.seconds / total)} of the step\n`
    + `${ofBytes(s.bytes)}${s.flops ? ", " + short(s.flops) + " operations" : ""}`
    + (isNumber(s.limit) ? `\n${percent(s.limit)} of the machine's limit` : "")
    + (s.leaves ? `\nreads ${s.leaves}` : "") + (s.where ? `\n${s.where}` : "")
    + (s.formula ? `\n${cut(s.formula, 300)}` : "");
}

/* Forward steps go down the left side, backward ones come up the right side, so that what a
 * gradient needs lies across from it. */
function graph() {
  const p = D.profile && D.profile.plan;
  if (!p || !p.steps.length) return null;
  const total = p.steps.reduce((a, s) => a + s.seconds, 0) || 1, steps = p.steps.slice(0, 160);
  const most = Math.max(...steps.map((s) => s.seconds)), w = 192, h = 42, gap = 16, across = 64;
  const left = steps.map((s, k) => k).filter((k) => steps[k].backward < .5);
  const right = steps.map((s, k) => k).filter((k) => steps[k].backward >= .5);
  const rows = Math.max(left.length, right.length), at = [];
  left.forEach((k, i) => { at[k] = [28, 8 + i * (h + gap)]; });
  right.forEach((k, i) => { at[k] = [28 + w + across, 8 + (rows - 1 - i) * (h + gap)]; });
  const draw = () => {
    const width = 2 * w + across + 56;
    const root = svg("svg", { width, height: rows * (h + gap) + 8, role: "img",
      "aria-label": "the steps of the plan" });
    root.append(svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4,
      markerWidth: 6, markerHeight: 6, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z",
      fill: "var(--soft)" }))));
    steps.forEach((s, k) => s.from.forEach((f) => {
      if (!at[f] || f === k) return;
      const [x0, y0] = at[f], [x1, y1] = at[k];
      let d;
      if (x0 === x1) {
        const side = x0 < w ? x0 : x0 + w, bend = (x0 < w ? -1 : 1) * Math.min(34, 8 + Math.abs(y1 - y0) / 14);
        const near = Math.abs(y1 - y0) <= h + gap + 1;
        d = near ? `M${x0 + w / 2} ${y1 > y0 ? y0 + h : y0}L${x1 + w / 2} ${y1 > y0 ? y1 : y1 + h}`
          : `M${side} ${y0 + h / 2}C${side + bend} ${y0 + h / 2} ${side + bend} ${y1 + h / 2} ${side} ${y1 + h / 2}`;
      } else {
        const a = x0 < x1 ? x0 + w : x0, b = x0 < x1 ? x1 : x1 + w, m = (a + b) / 2;
        d = `M${a} ${y0 + h / 2}C${m} ${y0 + h / 2} ${m} ${y1 + h / 2} ${b} ${y1 + h / 2}`;
      }
      root.append(svg("path", { d, fill: "none", stroke: "var(--soft)", "stroke-opacity": .55,
        "marker-end": "url(#arrow)" }));
    }));
    steps.forEach((s, k) => {
      const [x, y] = at[k], c = heat(s.seconds / most);
      root.append(says(svg("g", { "data-mark": 1 },
        svg("rect", { x, y, width: w, height: h, rx: 6, fill: css(c),
          stroke: s.fused ? "#33475b" : "none", "stroke-dasharray": s.fused ? "4 3" : null }),
        svg("text", { x: x + 9, y: y + 17, style: "fill:#111;font-weight:600", text: cut(s.name, 27) }),
        svg("text", { x: x + 9, y: y + 33, style: "fill:#333", text:
          cut(`${percent(s.seconds / total)}  ${s.shape}${s.leaves ? "  ← " + s.leaves : ""}`, 31) })),
      sayStep(s, total)));
    });
    return root;
  };
  return card("The training step", "Left: forward, downwards; right: backward, upwards. Warmer: more "
    + "time. A dashed box is several ops in one pass over memory."
    + (p.steps.length > steps.length ? ` The first ${steps.length} of ${p.steps.length} steps.` : ""),
  chart(draw, { scroll: true }), { id: "graph" });
}

function gantt() {
  const p = D.profile && D.profile.plan;
  if (!p || !p.slab.length) return null;
  return card("Memory over the step", `Each box is a value in the slab of ${ofBytes(p.slab_bytes)}: `
    + "from the step that computes it to the one that reads it last, at its place.",
  chart((width) => {
    const unit = 1024 ** Math.min(3, Math.floor(Math.log2(Math.max(p.slab_bytes, 1)) / 10));
    const a = axes({ width, height: 300, x0: 0, x1: p.steps.length, y0: 0, y1: p.slab_bytes / unit,
      xlabel: "step", ylabel: { 1: "bytes", 1024: "KiB", 1048576: "MiB" }[unit] || "GiB",
      label: "lifetimes in the slab" });
    for (const l of p.slab) {
      const x = a.x(l.first), y = a.y((l.offset + l.bytes) / unit);
      a.root.append(says(svg("rect", { x: x + .5, y, width: Math.max(a.x(l.last + 1) - x - 1, 1),
        height: Math.max(a.y(l.offset / unit) - y - .5, 1), rx: 2, "data-mark": 1,
        fill: l.backward ? "var(--second)" : "var(--accent)", opacity: .8 }),
      `${l.name}, ${ofBytes(l.bytes)} at ${ofBytes(l.offset)}\nsteps ${l.first} to ${l.last}`));
    }
    return a.root;
  }), { id: "gantt", below: legend([["forward", "var(--accent)"], ["backward", "var(--second)"]]) });
}

function times() {
  const t = D.profile;
  if (!t || !t.ops.length) return [null, null];
  const all = t.in_steps || 1, rows = t.ops.slice(0, 14);
  const table = html("table", {}, html("tr", {}, ...["line", "forward or backward", "time", "share",
    "GB/s", "GFLOP/s", "limit"].map((text) => html("th", { text }))),
  ...t.lines.slice(0, 20).map((r) => html("tr", {}, ...[r.name || "(not known)", way(r),
    ofTime(r.seconds), percent(r.seconds / all), short(r.bytes / r.seconds / 1e9),
    short(r.flops / r.seconds / 1e9), percent(r.limit)].map((text) => html("td", { text })))));
  const limits = t.limits ? ` The machine's limits: ${short(t.limits.flops_f32 / 1e9)} GFLOP/s, `
    + `${short(last(t.limits.bandwidth) / 1e9)} GB/s from memory.` : "";
  return [card("Time by op", `${ofTime(t.in_steps)} in steps of ${ofTime(t.seconds)} in all; the rest `
    + "is recording, updates and evaluation.", bars(rows.map((r) => ({ name: r.name,
    value: r.seconds / all, text: percent(r.seconds / all),
    color: r.backward >= .5 ? "var(--second)" : "var(--accent)",
    says: `${r.name}, ${way(r)}\n${ofTime(r.seconds)} in ${r.runs} runs\n`
      + `${short(r.bytes / r.seconds / 1e9)} GB/s, ${short(r.flops / r.seconds / 1e9)} GFLOP/s`
      + (isNumber(r.limit) ? `\n${percent(r.limit)} of the machine's limit` : "") })),
  { label: "time by op" }), { id: "ops", below: legend([["forward", "var(--accent)"],
    ["backward", "var(--second)"]]) }),
  !t.lines.some((r) => r.name) ? null : card("Time by line", "A fused pass's time is shared equally among its ops." + limits,
    html("div", { class: "scroll" }, table), { id: "lines", wide: true })];
}

/* ------------------------------------------------------------------ all of it */

head();
learning();
section(D.task === "regression" ? "How close it comes" : "Right and wrong", confusion(), predicted(),
  calibration());
section("What it learnt", surface(), importance(), filters());
layers();
const [byOp, byLine] = times();
section("Where the time goes", graph(), gantt(), byOp, byLine);
const save = html("button", { type: "button", text: "save the numbers as JSON" });
save.addEventListener("click", () => {
  const link = html("a", { download: "report.json",
    href: "data:application/json," + encodeURIComponent(JSON.stringify(D)) });
  link.click();
});
page.append(html("h2", { text: "The numbers" }), html("p", { class: "small" }, save));
redraw();
new ResizeObserver(redraw).observe(page);
addEventListener("beforeprint", redraw);
document.body.dataset.drawn = charts.length;
