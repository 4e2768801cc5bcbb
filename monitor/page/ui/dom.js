
// ---- elements
const $ = (id) => document.getElementById(id);
const drawn = ["svg", "path", "line", "title", "rect", "circle", "defs", "marker", "text"];
// el builds an element. Strings become text, so that nothing from outside is ever markup. Handlers
// are found through the element, so that morph can replace them.
function el(tag, attrs, ...kids) {
  const e = drawn.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === undefined || v === false || v === null || v === "" && k !== "value") continue;
    if (k.startsWith("on")) { (e.on ||= {})[k.slice(2)] = v; e.addEventListener(k.slice(2), (ev) => e.on[k.slice(2)](ev)); }
    else if (k === "now") e.now = e.value = v; // a field's present value, whatever it began with
    else e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...kids.flat(9).filter((k) => k !== undefined && k !== null && k !== false && k !== ""));
  if (e.now !== undefined) e.value = e.now;
  return e;
}
// morph makes old equal to next and leaves alone what is: no flicker, and focus, selection and
// what was typed or opened stay. Children with a data-key are found by it.
function morph(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) { old.replaceWith(next); return; }
  if (old.nodeType === 3) { if (old.data !== next.data) old.data = next.data; return; }
  for (const a of [...old.attributes]) if (!next.hasAttribute(a.name)) old.removeAttribute(a.name);
  for (const a of next.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  if (next.on) { for (const k of Object.keys(next.on)) if (!old.on?.[k]) old.addEventListener(k, (ev) => old.on[k](ev)); old.on = next.on; } else if (old.on) old.on = Object.fromEntries(Object.keys(old.on).map((k) => [k, () => {}]));
  const keyed = Map.groupBy([...old.childNodes].filter((n) => n.dataset?.key), (n) => n.dataset.key); // two may have the same
  let at = old.firstChild;
  for (const n of [...next.childNodes]) {
    const same = n.dataset?.key ? keyed.get(n.dataset.key)?.shift() : at && !at.dataset?.key ? at : null;
    if (!same) { if (n.dataset?.key && keyed.size) n.classList.add("fresh"); old.insertBefore(n, at); continue; }
    if (same === at) at = at.nextSibling; else old.insertBefore(same, at);
    morph(same, n);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  if (next.now !== undefined && document.activeElement !== old) old.value = old.now = next.now;
}
const icons = {
  map: "M2 6h4v4H2zM10 2h4v4h-4zM10 10h4v4h-4zM6 8h2M8 4v8M8 4h2M8 12h2", timeline: "M8 2v12M8 4.5h5M8 8H3M8 11.5h5", search: "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M10.3 10.3L14 14",
  deploy: "M8 13V4M4.5 7L8 3.5L11.5 7M3 14h10", instance: "M3 4h10v4H3zM3 8h10v4H3zM5 6h1M5 10h1", health: "M2 8h3l1.5-4L9 12l1.5-4H14", ejection: "M10 3h3v10h-3M9 8H2M4.5 5.5L2 8l2.5 2.5", leader: "M3 12l-1-7 3.5 3L8 3l2.5 5L14 5l-1 7z",
  cluster: "M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z", router: "M2 8h3l3-4h6M5 8l3 4h6M12 2l2 2-2 2M12 10l2 2-2 2", traces: "M2 4h8M5 8h8M8 12h6", events: "M8 2v2M3 7a5 5 0 0 1 10 0c0 4 1 4 1 5H2c0-1 1-1 1-5zM6.5 14h3",
  config: "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M9 3v3M4 10v3", locks: "M4 7h8v6H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2", levels: "M3 13V9M6.5 13V5M10 13V7M13.5 13V3",
};
const icon = (name) => el("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, el("path", { d: icons[name] }));

// ---- what people read
const ms = (ns) => !ns ? "–" : ns < 1e6 ? (ns / 1e3).toFixed(0) + " µs" : ns < 1e9 ? (ns / 1e6).toFixed(ns < 1e7 ? 1 : 0) + " ms" : (ns / 1e9).toFixed(2) + " s";
const num = (v) => v > 0 && v < .05 ? "<0.1" : v >= 1e6 ? (v / 1e6).toFixed(1) + "M" : v >= 1e4 ? (v / 1e3).toFixed(1) + "k" : v >= 100 || Number.isInteger(v) ? v.toFixed(0) : v.toFixed(1);
const percent = (v) => v === 0 ? "0 %" : v < .001 ? "<0.1 %" : (100 * v).toFixed(v < .1 ? 1 : 0) + " %";
const bytes = (b) => !b ? "–" : b < 1 << 20 ? (b / 1024).toFixed(0) + " KiB" : b < 2 ** 30 ? (b / 2 ** 20).toFixed(0) + " MiB" : (b / 2 ** 30).toFixed(1) + " GiB";
const span = (s) => s < 1 ? "now" : s < 90 ? s.toFixed(0) + " s" : s < 5400 ? (s / 60).toFixed(0) + " min" : s < 129600 ? (s / 3600).toFixed(0) + " h" : (s / 86400).toFixed(0) + " d";
const real = (t) => t && !t.startsWith("0001");
const clock = (t) => real(t) ? new Date(t).toLocaleTimeString([], { hourCycle: "h23" }) : "–";
const when = (t) => !real(t) ? "–" : Date.now() - new Date(t) < 864e5 ? clock(t) : new Date(t).toLocaleString([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
const finely = (t) => real(t) && Date.now() - new Date(t) < 864e5 ? clock(t) + "." + String(new Date(t).getMilliseconds()).padStart(3, "0") : when(t);
const cut = (s, n) => s.length > n ? s.slice(0, n - 1) + "…" : s;
const plural = (n, one, many) => n + " " + (n === 1 ? one : many || one + "s");
const pill = (state, text) => el("span", { class: "pill " + state }, text || state);
const chips = (map) => Object.entries(map || {}).map(([k, v]) => el("span", { class: "chip" }, k + "=" + v));
const bar = (part, text, color) => el("div", { class: "bar", style: "--part:" + (100 * Math.min(1, Math.max(0, part || 0))).toFixed(1) + "%" + (color ? ";--fill:var(--" + color + ")" : "") }, el("i"), el("span", {}, text));
const empty = (title, text) => el("div", { class: "card empty" }, el("b", {}, title), text);

// table takes heads, "#" before one whose column holds numbers, and rows of cells; a row may have a key.
function table(heads, rows, none) {
  if (!rows.length && none) return empty(...none);
  return el("div", { class: "wide card" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col", class: h[0] === "#" && "n" }, h.replace("#", ""))))),
    el("tbody", {}, rows.map((r) => el("tr", { "data-key": r.key, class: r.aim && "aim", "aria-current": r.aim && "true" }, (r.cells || r).map((c, i) => el("td", { class: (heads[i][0] === "#" ? "n" : "") + (c === "–" || c === "" ? " dash" : ""), "data-label": heads[i].replace("#", "") }, c)))))));
}

// ---- the server
let token = sessionStorage.getItem("token") || "";
class Refused extends Error {}
async function api(path, options = {}) {
  const r = await fetch("api/" + path, { ...options, headers: token ? { Authorization: "Bearer " + token } : {} });
  const v = await r.json().catch(() => ({ error: r.status + " " + r.statusText }));
  if (r.status === 401) throw new Refused(v.error);
  if (!r.ok) throw new Error(v.error || r.statusText);
  return v;
}
const query = (o) => new URLSearchParams(Object.entries(o).filter(([, v]) => v !== undefined && v !== null && v !== "")).toString();
const here = () => { const [id, q] = location.hash.slice(1).split("?"); return { id: id || "cluster", q: new URLSearchParams(q || "") }; };
// put changes what stands in the address without a step back: all that decides what is shown is in it.
function put(o) {
  const { id, q } = here(), same = last?.hash === location.hash;
  for (const [k, v] of Object.entries(o)) { q.delete(k); for (const x of [v].flat()) if (x) q.append(k, x); }
  history.replaceState(null, "", "#" + id + (q.size ? "?" + q : ""));
  if (same) last.hash = shown = location.hash;
  redraw(); refresh();
}
const isOpen = (id) => here().q.getAll("open").includes(id);
const toggle = (id) => { const all = here().q.getAll("open"); put({ open: all.includes(id) ? all.filter((x) => x !== id) : [...all, id] }); };
const go = (id, o) => { const q = query(o || {}); location.hash = id + (q ? "?" + q : ""); };

let toastTimer;
function toast(text, bad) {
  $("toast").textContent = text; $("toast").className = "on" + (bad ? " bad" : "");
  clearTimeout(toastTimer); toastTimer = setTimeout(() => $("toast").className = "", 4000);
}
// act does something that changes the service, and says how it went.
async function act(what, path) {
  try { await api(path, { method: "POST" }); toast(what); } catch (e) { toast(e.message, true); }
  refresh();
}
// dialog shows elements; closing it by any means resolves.
function dialog(...kids) {
  const d = $("dialog");
  d.replaceChildren(...kids);
  d.showModal();
  return new Promise((done) => d.addEventListener("close", () => done(d.returnValue), { once: true }));
}
