
// ---- the whole
const views = {
  cluster: { name: "Cluster", every: 2000, data: async (o) => crowded(o) ? { series: {} } : { series: (await seriesData()).services }, draw: cluster },
  service: { under: "cluster", every: 2000, data: async () => { const name = here().q.get("name") || "", [s, t] = await Promise.all([seriesData(name), name ? api("timeline?" + query({ service: name })) : { moments: [] }]); return { series: s.services, moments: t.moments }; }, draw: service },
  map: { name: "Map", every: 3000, data: mapData, draw: mapView, after: wires },
  timeline: { name: "Timeline", every: 2000, data: timelineData, draw: timeline },
  router: { name: "Router", every: 2000, data: routerData, draw: routerView },
  traces: { name: "Traces", every: 5000, data: tracesData, draw: traces },
  events: { name: "Events", every: 2000, data: eventsData, draw: events },
  config: { name: "Configuration", every: 3000, data: configData, draw: config },
  locks: { name: "Locks", every: 1000, data: locksData, draw: locks },
  levels: { name: "Log levels", every: 5000, data: levelsData, draw: levels },
  search: { title: "Search", every: 5000, data: findData, draw: find },
};
const always = ["cluster", "map", "timeline"]; // whatever the page was given
const current = () => Object.hasOwn(views, here().id) ? here().id : "cluster";
const shownParts = (o) => Object.keys(views).filter((id) => views[id].name && (always.includes(id) || o.parts[id] || id === "config" && o.parts.documents));
let session = { write: false }, timer, turn = 0, good = 0, problem = "", paused = false, shown = "", last = null, signing = false;

// redraw draws again what is known; refresh asks first.
function redraw() {
  if (!last || last.hash !== location.hash) return;
  const { o, data, id } = last, view = views[id], next = el("main", { id: "main", tabindex: "-1", class: stale() && "old" }, view.draw(o, data));
  navigation(o, id);
  $("self").textContent = [...new Set([o.self.instance.service, o.self.instance.id])].filter(Boolean).join(" · ");
  const after = () => view.after?.();
  if (shown === location.hash) { morph($("main"), next); return after(); }
  const focus = $("main").contains(document.activeElement);
  $("main").replaceWith(next);
  if (shown !== "" && (focus || document.activeElement === document.body)) next.focus({ preventScroll: true });
  if (shown !== "") scrollTo(0, 0);
  after();
  (next.querySelector(".aim") || next.querySelector("input[name=q]"))?.scrollIntoView({ block: "center" });
  if (id === "search") next.querySelector("input").focus();
  document.title = (view.name || view.title || here().q.get("name")) + " · " + $("title").textContent;
  shown = location.hash;
}
function navigation(o, id) {
  morph($("nav"), el("nav", { id: "nav", "aria-label": "Parts" }, shownParts(o).map((k, i) => el("a", { href: "#" + k, "aria-current": (k === id || views[id].under === k) && "page" }, icon(k), el("span", {}, views[k].name), el("kbd", { "aria-hidden": "true" }, i + 1)))));
}
async function refresh() {
  clearTimeout(timer);
  const mine = ++turn, hash = location.hash, id = current();
  try {
    const o = await api("overview");
    if (mine === turn && last?.hash !== hash) navigation(o, id); // the part itself may fail
    const data = await views[id].data(o);
    if (mine !== turn) return;
    last = { o, data, id, hash }; good = Date.now(); problem = "";
    redraw();
  } catch (e) {
    if (mine !== turn) return;
    if (e instanceof Refused) { signIn(); return; }
    problem = e.message === "Failed to fetch" ? "The service doesn't answer." : e.message;
    if (last?.hash !== hash) { last = null; shown = ""; $("main").replaceChildren(el("h1", { class: "row top" }, views[id].name || views[id].title || "Service"), empty("This can't be shown", problem)); }
  }
  age();
  if (mine === turn && !paused) timer = setTimeout(refresh, problem ? 2000 : views[id].every);
}
const stale = () => good && !paused && Date.now() - good > 3000 + views[current()].every;
function age() {
  const old = stale() || !!problem, s = (Date.now() - good) / 1000;
  $("stale").className = "quiet " + (paused ? "paused" : old ? "old" : "live");
  const text = paused ? "paused" : !good ? "connecting" : old ? "stale: " + span(s) : "live", box = $("stale").firstElementChild;
  if (box.textContent !== text) box.textContent = text;
  $("notice").hidden = !old || paused;
  const said = (problem || "The service is slow to answer").replace(/\.?$/, ".") + (good ? " What is shown is of " + clock(new Date(good).toISOString()) + "." : "");
  if ($("notice").textContent !== said) $("notice").textContent = said;
  $("main").classList.toggle("old", !!stale());
}
function pause() { paused = !paused; if (paused) { clearTimeout(timer); turn++; } else refresh(); age(); }
async function begin() {
  try {
    session = await api("session");
    $("user").textContent = session.user || "";
  } catch (e) { if (e instanceof Refused) return signIn(); }
  refresh();
}
async function signIn() {
  if (signing) return;
  signing = true;
  const form = el("form", { method: "dialog" }, el("label", {}, "token", el("input", { name: "token", type: "password", autocomplete: "off", required: true })), el("button", { class: "main", value: "yes" }, "Sign in"));
  await dialog(el("h1", {}, token ? "The token is not accepted" : "Sign in"), el("p", { class: "soft" }, "A bearer token of this service. It stays in this tab until you close it."), form);
  signing = false; token = form.elements.token.value; sessionStorage.setItem("token", token);
  begin();
}

// ---- theme
const themes = ["light dark", "light", "dark"];
function theme(next) { localStorage.setItem("theme", next); document.documentElement.style.colorScheme = next; $("theme").title = { "light dark": "Theme of the system", light: "Light", dark: "Dark" }[next] + " (t)"; }
const themeNow = () => themes.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : themes[0];
theme(themeNow());
const nextTheme = () => { theme(themes[(themes.indexOf(themeNow()) + 1) % 3]); toast($("theme").title.replace(" (t)", "")); };

// ---- keyboard
const help = () => dialog(el("h1", {}, "Keyboard"), el("dl", {}, [["1 … 9", "the parts"], ["s", "search"], ["j  k", "next, previous line"], ["Enter", "open it"], ["/", "filter, or search"], ["p", "pause, go on"], ["r", "ask now"], ["t", "light, dark"], ["Esc", "back"]].flatMap(([k, v]) => [el("dt", {}, el("kbd", {}, k)), el("dd", {}, v)])), el("form", { method: "dialog" }, el("button", { class: "main" }, "Close")));
const keepOver = () => { const over = here().q.get("over"); return over ? { over } : {}; };
function step(by) {
  const rows = [...$("main").querySelectorAll(".h3 a, a.node, .line a, .found a, tbody td:first-child a, button.span, .history a")], at = rows.indexOf(document.activeElement);
  rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by))]?.focus();
}
addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || $("dialog").open) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.nodeName);
  if (e.key === "Escape") { if (typing) document.activeElement.blur(); else if (here().q.size) go({ service: "cluster" }[current()] || current(), keepOver()); return; }
  if (typing) return;
  const part = last && shownParts(last.o)[+e.key - 1];
  if (part) go(part);
  else if (e.key === "/") { const f = $("main").querySelector("input"); if (f) { e.preventDefault(); f.focus(); f.select(); } else { e.preventDefault(); go("search"); } }
  else if (e.key === "s") { e.preventDefault(); go("search"); }
  else if (e.key === "?") help();
  else if ({ p: pause, r: refresh, t: nextTheme, j: () => step(1), k: () => step(-1) }[e.key]) ({ p: pause, r: refresh, t: nextTheme, j: () => step(1), k: () => step(-1) })[e.key]();
});
$("stale").addEventListener("click", pause);
$("theme").addEventListener("click", nextTheme);
$("keys").addEventListener("click", help);
$("skip").addEventListener("click", (e) => { e.preventDefault(); $("main").focus(); });
addEventListener("hashchange", refresh);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) refresh(); });
setInterval(age, 1000);
begin();
