
// ---- plots of the last minutes
const minutes = 5, samples = 2000; // ms between samples
const hover = new Map(); // plot → share of its width that the pointer is at
const nice = (v) => { const e = 10 ** Math.floor(Math.log10(v)); return [1, 1.5, 2, 2.5, 4, 5, 8, 10].find((k) => k * e >= v * .999) * e; };
// chart draws lines over time: of each the class, the name and what it takes of a point (0 may be a
// gap). least is the smallest top of the scale.
function chart(key, title, points, lines, format, least, gaps) {
  points ||= [];
  const now = points.length ? +new Date(points.at(-1).t) : Date.now(), x = (p) => 1000 * (1 - (now - new Date(p.t)) / (minutes * 60000));
  const top = nice(Math.max(least, ...points.flatMap((p) => lines.map((l) => l.pick(p)))));
  const y = (v) => 100 - 100 * v / top;
  const last = points.at(-1), has = points.some((p) => p.rate || lines.some((l) => l.pick(p)));
  const kids = (has ? [0, 50, 100] : [0, 100]).map((v) => el("line", { class: "grid", x1: 0, x2: 1000, y1: v, y2: v }));
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
  let tip = null;
  const at = hover.get(key);
  if (at !== undefined && points.length) {
    const near = points.reduce((a, p) => Math.abs(x(p) - at * 1000) < Math.abs(x(a) - at * 1000) ? p : a);
    kids.push(el("line", { class: "at", x1: x(near), x2: x(near), y1: 0, y2: 100 }));
    tip = el("div", { class: "tip", style: at < .5 ? "left:calc(" + (100 * at).toFixed(1) + "% + .8rem)" : "right:calc(" + (100 - 100 * at).toFixed(1) + "% + .8rem)" }, clock(near.t) + "  " + lines.map((l) => l.name + " " + format(l.pick(near))).join("  "));
  }
  const label = last ? lines.map((l) => l.name + " " + format(l.pick(last))).join(", ") : "no samples yet";
  return el("figure", { class: "chart", "data-key": key }, el("figcaption", {}, el("b", {}, title), last && lines.map((l) => el("i", { class: l.cls }, l.name + " " + format(l.pick(last))))),
    el("div", { class: "plot", role: "img", "aria-label": title + ": " + label,
      onpointermove: (e) => { const r = e.currentTarget.firstChild.getBoundingClientRect(); hover.set(key, Math.min(1, (e.clientX - r.left) / r.width)); redraw(); }, onpointerleave: () => { hover.delete(key); redraw(); } },
      el("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" }, kids),
      has ? [el("span", { class: "y", style: "top:0" }, format(top)), el("span", { class: "y", style: "top:50%" }, format(top / 2))] : el("span", { class: "none" }, points.length ? "no calls in the last minutes" : "collecting …")),
    el("div", { class: "x", "aria-hidden": "true" }, el("span", {}, minutes + " min ago"), el("span", {}, "now")), tip);
}
const callsChart = (key, points) => chart(key + ":calls", "Calls", points, [{ cls: "rate", name: "served", pick: (p) => p.rate, area: true }, { cls: "err", name: "failed", pick: (p) => p.errors, area: true }], (v) => num(v) + "/s", 1);
const errorsChart = (key, points) => chart(key + ":errors", "Error rate", points, [{ cls: "err", name: "failed", pick: (p) => p.rate ? p.errors / p.rate : 0, area: true }], percent, .01);
const latencyChart = (key, points) => chart(key + ":latency", "Latency", points, ["p50", "p95", "p99"].map((q) => ({ cls: q, name: q, pick: (p) => p[q] })), ms, 1e6, true);
