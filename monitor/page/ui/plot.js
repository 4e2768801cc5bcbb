
// ---- plots over time
const overs = [["5m", "5 min", 300, 60], ["1h", "1 h", 3600, 900], ["6h", "6 h", 21600, 7200], ["24h", "24 h", 86400, 21600], ["168h", "7 d", 604800, 172800]]; // as api/series takes it, as people read it, in seconds, and how many are between two times that a plot names
const over = () => overs.find(([id]) => id === here().q.get("over")) || overs[0];
let series = null; // what the last answers came to
// seriesData asks for what is new since the last answer.
async function seriesData(service) {
  const [span, , seconds] = over(), key = span + " " + service, fine = span === "5m", before = series?.key === key ? series : null, more = (fine && before?.last) || "";
  if (before && !fine && Date.now() - before.at < Math.min(before.step / 10, 30000)) return before; // it is asked for whole, and moves little
  const at = Date.now(), s = await api("series?" + query({ over: span, service, since: more })), services = Object.assign(Object.create(null), s.services); // a service may be called constructor
  if (more) for (const [name, points] of Object.entries(services)) { // by the server's clock: the reader's may be set otherwise
    const all = [...(before.services[name] || []), ...points], end = new Date(all.at(-1)?.t);
    services[name] = all.filter((p) => end - new Date(p.t) < (seconds + 5) * 1000);
  }
  series = { key, at, step: s.step / 1e6, services, last: Object.values(services).map((p) => p.at(-1)?.t).filter(Boolean).sort().at(-1) || more };
  return series;
}
// ranges are the links to how far back plots reach.
function ranges(h) {
  const { id, q } = here(), at = (o) => { const p = new URLSearchParams(q); p.set("over", o); return "#" + id + "?" + p; };
  const kept = h.kept / 1e9, some = overs.filter(([, , s], i) => !i || kept > overs[i - 1][2]);
  return el("div", { class: "ranges", role: "group", "aria-label": "how far back", title: "Samples since " + when(h.since) + ". They are kept for " + span(kept) + " with as many services as there are; they take " + bytes(h.bytes) + " of at most " + bytes(h.limit) + "." }, some.map(([o, name]) => el("a", { href: at(o), "aria-current": over()[0] === o && "true" }, name)));
}
const historyNote = (h) => el("p", { class: "small soft" }, "Samples since " + when(h.since) + ", kept for " + span(h.kept / 1e9) + " with as many services as there are: " + bytes(h.bytes) + " of at most " + bytes(h.limit) + " of memory.");
// ticks are the round times of the reader's day that a plot until now names between its ends, where there is room on a phone.
function ticks(now) {
  const [, , span, every] = over(), zone = 60 * new Date(now).getTimezoneOffset(), from = now / 1000 - span, all = [];
  for (let t = Math.ceil((from - zone) / every) * every + zone; t < from + .82 * span; t += every) if (t > from + .33 * span) all.push(1000 * t);
  return all;
}
const named = (t) => over()[2] > 86400 ? new Date(t).toLocaleDateString([], { day: "numeric", month: "short" }) : new Date(t).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
let pointed = null; // the plot that the pointer is over, and at which share of its width: all plots show that time
const nice = (v) => { const e = 10 ** Math.floor(Math.log10(v)); return [1, 1.5, 2, 2.5, 4, 5, 8, 10].find((k) => k * e >= v * .999) * e; };
// chart draws lines over time: of each the class, the name and what it takes of a point (0 may be a
// gap). least is the smallest top of the scale.
function chart(key, title, points, lines, format, least, gaps, marks = []) {
  points ||= [];
  const now = points.length ? +new Date(points.at(-1).t) : Date.now(), x = (p) => 1000 * (1 - (now - new Date(p.t)) / (over()[2] * 1000)), times = ticks(now), samples = series?.step || 2000;
  const top = nice(Math.max(least, ...points.flatMap((p) => lines.map((l) => l.pick(p)))));
  const y = (v) => 100 - 100 * v / top;
  const last = points.at(-1), has = points.some((p) => p.rate || lines.some((l) => l.pick(p)));
  const kids = (has ? [0, 50, 100] : [0, 100]).map((v) => el("line", { class: "grid", x1: 0, x2: 1000, y1: v, y2: v }));
  for (const t of times) kids.push(el("line", { class: "grid", x1: x({ t }), x2: x({ t }), y1: 0, y2: 100 }));
  for (const l of lines) {
    const runs = [];
    let run = null, last = 0;
    for (const p of points) {
      const v = l.pick(p), t = +new Date(p.t);
      if (gaps && !v) { run = null; continue; }
      if (!run || t - last > 4 * samples) runs.push(run = []);
      run.push(x(p).toFixed(1) + " " + y(v).toFixed(1)); last = t;
    }
    const d = runs.map((r) => "M" + (r.length > 1 ? r.join("L") : r[0] + "h2")).join("");
    if (!d) continue;
    if (l.area) kids.push(el("path", { class: "area " + l.cls, d: runs.map((r) => "M" + r[0].split(" ")[0] + " 100L" + r.join("L") + "L" + r.at(-1).split(" ")[0] + " 100Z").join("") }));
    kids.push(el("path", { class: l.cls, d }));
  }
  const near = marks.filter((m) => x(m) >= 0 && x(m) <= 1000);
  for (const m of near) kids.push(el("line", { class: "mark " + m.state, x1: x(m), x2: x(m), y1: 0, y2: 100 }));
  let tip = null;
  if (pointed && points.length) {
    const at = pointed.at, p = points.reduce((a, p) => Math.abs(x(p) - at * 1000) < Math.abs(x(a) - at * 1000) ? p : a);
    kids.push(el("line", { class: "at", x1: x(p), x2: x(p), y1: 0, y2: 100 }));
    if (pointed.key === key) tip = el("div", { class: "tip", style: at < .5 ? "left:calc(" + (100 * at).toFixed(1) + "% + .8rem)" : "right:calc(" + (100 - 100 * at).toFixed(1) + "% + .8rem)" }, el("div", {}, (over()[2] > 86400 ? when(p.t) : clock(p.t)) + "  " + lines.map((l) => l.name + " " + format(l.pick(p))).join("  ")), near.filter((m) => Math.abs(x(m) - at * 1000) < 12).slice(0, 4).map((m) => el("div", {}, clock(m.t) + "  " + cut(momentName(m) + " " + m.text, 60))));
  }
  const label = last ? lines.map((l) => l.name + " " + format(l.pick(last))).join(", ") : "no samples yet";
  return el("figure", { class: "chart", "data-key": key }, el("figcaption", {}, el("b", {}, title), last && lines.map((l) => el("i", { class: l.cls }, l.name + " " + format(l.pick(last))))),
    el("div", { class: "plot", role: "img", "aria-label": title + ": " + label,
      onpointermove: (e) => { const r = e.currentTarget.firstChild.getBoundingClientRect(); pointed = { key, at: Math.min(1, (e.clientX - r.left) / r.width) }; redraw(); }, onpointerleave: () => { pointed = null; redraw(); } },
      el("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" }, kids),
      has ? [el("span", { class: "y", style: "top:0" }, format(top)), el("span", { class: "y", style: "top:50%" }, format(top / 2))] : el("span", { class: "none" }, points.length ? "no calls in the last minutes" : "collecting …")),
    el("div", { class: "x", "aria-hidden": "true" }, el("span", {}, over()[1] + " ago"), times.map((t) => el("time", { style: "left:" + x({ t }) / 10 + "%" }, named(t))), el("span", {}, "now")), tip);
}
const callsChart = (key, points, marks) => chart(key + ":calls", "Calls", points, [{ cls: "rate", name: "served", pick: (p) => p.rate, area: true }, { cls: "err", name: "failed", pick: (p) => p.errors, area: true }], (v) => num(v) + "/s", 1, false, marks);
const errorsChart = (key, points, marks) => chart(key + ":errors", "Error rate", points, [{ cls: "err", name: "failed", pick: (p) => p.rate ? p.errors / p.rate : 0, area: true }], percent, .01, false, marks);
const latencyChart = (key, points, marks) => chart(key + ":latency", "Latency", points, ["p50", "p95", "p99"].map((q) => ({ cls: q, name: q, pick: (p) => p[q] })), ms, 1e6, true, marks);
