
// ---- who calls whom
const mapData = () => api("map");
let wired = { edges: [], lit: "" }; // what is drawn between the nodes, and the node that the reader looks at
const failing = (share) => share > .01 ? "fail" : share > 0 ? "warn" : "";
const known = (e) => e.sampled ? plural(e.sampled, "span") + " of traces" : e.messages ? "reports, messages" : "reports";
const callText = (e) => (e.sampled ? e.messages ? "messages" : "seen in traces" : num(e.rate) + "/s") + (e.errors ? ", " + percent(e.errors) + " failed" : "");
function mapView(o, m) {
  const only = here().q.get("service"), edges = only ? m.edges.filter((e) => e.from === only || e.to === only) : m.edges;
  const linked = new Set(edges.flatMap((e) => [e.from, e.to])), alone = m.nodes.filter((n) => !linked.has(n.name) && (!only || n.name === only)), layers = [];
  for (const n of m.nodes) if (linked.has(n.name)) (layers[n.layer] ||= []).push(n);
  for (const e of edges) (e.via || []).forEach((row, i) => (layers[m.nodes.find((n) => n.name === e.from).layer + 1 + i] ||= []).push({ row, via: e }));
  wired = { edges, lit: wired.lit };
  const spread = layers.filter(Boolean);
  return [el("div", { class: "row top" }, el("h1", {}, "Map"), el("span", { class: "soft" }, "who calls whom, in the last minute"), el("span", { class: "push" }),
      el("select", { "aria-label": "only the neighbours of", now: only || "", onchange: (e) => { go("map", { service: e.currentTarget.value }); } }, el("option", { value: "" }, "all services"), m.nodes.map((n) => el("option", { value: n.name }, n.name || "(no name)")))),
    m.problem && el("p", { class: "warn" }, "Traces can't be asked: " + m.problem),
    m.dropped > 0 && el("p", { class: "warn" }, "Left out, since the map is bounded: " + plural(m.dropped, "service or call", "services and calls") + "."),
    !spread.length ? empty(only ? "Nobody calls " + only + ", and it calls nobody" : "No calls between services yet", "They show once a service that reports has called another.") :
      el("div", { class: "card map", "data-key": "map", role: "group", "aria-label": "map of calls; the table below says the same" }, el("svg", { class: "wires", "aria-hidden": "true" }), spread.map((l, i) => el("div", { class: "layer", "data-key": "layer" + i }, l.sort((a, b) => a.row - b.row).map((n) => n.via ? el("i", { class: "via", "data-key": "v" + wire(n.via) + i, "data-wire": wire(n.via) }) : node(n, edges))))),
    spread.length > 0 && el("p", { class: "small soft legend" }, el("span", { class: "wire" }, "calls, as callers report them"), el("span", { class: "wire dashed" }, "messages, or known from traces alone"), el("span", { class: "wire fail" }, "more than 1 % fail")),
    alone.length > 0 && spread.length > 0 && !only && [el("h2", {}, "Without calls"), el("div", { class: "row" }, alone.map((n) => node(n, [])))],
    edges.length > 0 && [el("h2", {}, "Calls"), table(["from", "to", "#calls/s", "#errors", "#p99", "known from"], edges.map((e) => ({ key: wire(e), cells: [place(m, e.from), place(m, e.to), e.sampled ? "–" : num(e.rate), el("span", { class: failing(e.errors) }, percent(e.errors)), ms(e.p99), el("span", { class: "soft" }, known(e))] })))]];
}
const wire = (e) => e.from + "→" + e.to;
const isService = (n) => n?.kind === "service" && !!n.verdict;
const place = (m, name) => { const n = m.nodes.find((x) => x.name === name); return isService(n) ? el("a", { href: toService(name) }, name || "(no name)") : name; };
function node(n, edges) {
  const calls = edges.filter((e) => e.from === n.name).map((e) => e.to), light = (name) => () => { if (wired.lit !== name) { wired.lit = name; wires(); } };
  return el("a", { class: "node " + (n.verdict || n.kind), "data-key": "n" + n.name, "data-name": n.name, href: isService(n) ? toService(n.name) : "#map?" + query({ service: n.name }),
    onpointerenter: light(n.name), onpointerleave: light(""), onfocus: light(n.name), onblur: light("") },
    el("b", {}, n.name || "(no name)"), el("span", {}, !n.verdict ? { store: "store", messages: "stream" }[n.kind] || "does not report" : !n.rate ? "no calls" : num(n.rate) + "/s" + (n.p99 ? " · " + ms(n.p99) : "")),
    n.verdict && el("span", { class: failing(n.errors) || n.up < n.of && "warn" }, n.up + " of " + n.of + " up" + (n.errors ? " · " + percent(n.errors) + " failed" : "")),
    el("span", { class: "unseen" }, (n.verdict ? ", " + n.verdict : "") + (calls.length ? ", calls " + calls.join(", ") : "")));
}
// wires draws the calls between where the nodes have come to stand: from left to right, or downwards
// where there is no room.
function wires() {
  const box = document.querySelector(".map"), svg = box?.querySelector(".wires");
  if (!svg) return;
  const layers = box.querySelectorAll(".layer").length, down = box.clientWidth < layers * 215;
  box.classList.toggle("down", down);
  const origin = box.getBoundingClientRect(), at = new Map([...box.querySelectorAll(".node")].map((e) => [e.dataset.name, e.getBoundingClientRect()]));
  const few = wired.edges.length <= 14, kids = [], texts = [];
  svg.setAttribute("viewBox", "0 0 " + box.clientWidth + " " + box.clientHeight);
  for (const e of wired.edges) {
    const a = at.get(e.from), b = at.get(e.to);
    if (!a || !b) continue;
    const x = (v) => v - origin.left - box.clientLeft, y = (v) => v - origin.top - box.clientTop, mid = (r) => down ? x(r.left + r.width / 2) : y(r.top + r.height / 2);
    const stops = [...box.querySelectorAll(".via")].filter((v) => v.dataset.wire === wire(e)).map((v) => v.getBoundingClientRect());
    // along is the way that calls go, across the other; a stop is passed straight.
    const enter = (r, back) => down ? y(back ? r.bottom : r.top) : x(back ? r.right : r.left), leave = (r, back) => down ? y(back ? r.top : r.bottom) : x(back ? r.left : r.right);
    const pt = (along, across) => (down ? across + " " + along : along + " " + across), all = [a, ...stops, b];
    let d = "", label = null;
    for (let i = 1; i < all.length; i++) {
      const p = all[i - 1], q = all[i], level = Math.abs(enter(p) - enter(q)) < 2, back = !level && enter(q) < enter(p), s = leave(p, back), t = level ? leave(q) : enter(q, back), k = level ? 34 : (t - s) / 2;
      d += (i === 1 ? "M" + pt(s, mid(p)) : "L" + pt(s, mid(p))) + "C" + pt(s + k, mid(p)) + " " + pt(level ? t + k : t - k, mid(q)) + " " + pt(t, mid(q) + (p === q ? 12 : 0));
      if (!label || i === 2) label = stops.length ? [(enter(stops[0]) + leave(stops[0])) / 2, mid(stops[0])] : [level ? s + 28 : (s + t) / 2, (mid(p) + mid(q)) / 2];
    }
    const [mx, my] = down ? [label[1], label[0]] : label;
    const mine = wired.lit && (e.from === wired.lit || e.to === wired.lit), cls = failing(e.errors) + (e.sampled || e.messages ? " dashed" : "") + (wired.lit ? mine ? " lit" : " dim" : "");
    kids.push(el("path", { class: cls, d, "stroke-width": (1.2 + Math.min(3, Math.log10(1 + e.rate))).toFixed(1), "marker-end": "url(#tip" + (failing(e.errors) || "") + ")" }));
    if (few && !wired.lit || mine) texts.push(el("text", { class: cls, x: mx, y: my + 4 }, callText(e)));
  }
  const tip = (cls) => el("marker", { id: "tip" + cls, class: cls, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto", markerUnits: "userSpaceOnUse" }, el("path", { d: "M0 0L8 4L0 8z" }));
  svg.replaceChildren(el("defs", {}, ["", "warn", "fail"].map(tip)), ...kids, ...texts);
}
new ResizeObserver(() => requestAnimationFrame(wires)).observe(document.body);
