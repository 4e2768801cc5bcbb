
// ---- search across
let typing;
const findData = async () => { const q = here().q.get("q")?.trim(); return q ? api("search?" + query({ q })) : null; };
const foundKinds = { service: "Services", instance: "Instances", trace: "Traces", endpoint: "Endpoints", lock: "Locks and leaders", config: "Configuration", document: "Documents", logger: "Loggers" };
const toFound = (f) => ({ service: () => toService(f.name), instance: () => "#service?" + query({ name: f.service, instance: f.name }), trace: () => "#traces?" + query({ id: f.name }), endpoint: () => "#service?" + query({ name: f.service, endpoint: f.name }),
  lock: () => "#locks?" + query({ id: f.name }), config: () => "#config?" + query({ tab: "running", f: f.name }), document: () => "#config?" + query({ tab: "documents", ns: f.name }), logger: () => "#levels" })[f.kind]();
function find(o, data) {
  const q = here().q.get("q") || "";
  const look = (e) => { const v = e.currentTarget.value; clearTimeout(typing); typing = setTimeout(() => { if (here().id === "search") put({ q: v }); }, 150); };
  return [el("h1", { class: "row top" }, "Search"),
    el("form", { role: "search", onsubmit: (e) => { e.preventDefault(); clearTimeout(typing); put({ q: e.currentTarget.elements.q.value }); $("main").querySelector(".found a")?.focus(); } }, el("input", { name: "q", type: "search", class: "grow", "aria-label": "search", placeholder: "service, instance, label, trace id, configuration, lock …", autocomplete: "off", spellcheck: "false", maxlength: 200, now: q, oninput: look })),
    el("div", { role: "status", class: "soft small" }, data ? data.found.length ? plural(data.found.length, "result") : "Nothing has “" + q + "” in it. A trace is found by its whole id." : "Services, instances with their labels and addresses, endpoints, configuration, documents, locks, loggers by any part of them; traces by their id."),
    data && Object.entries(foundKinds).map(([kind, name]) => { const list = data.found.filter((f) => f.kind === kind); return list.length > 0 && el("section", { class: "card found", "data-key": kind, "aria-label": name }, el("h2", {}, name), el("ul", {}, list.map((f) => el("li", { "data-key": f.service + f.name }, el("a", { href: toFound(f) }, f.name), f.service && el("span", { class: "chip" }, f.service), f.state && pill(f.state), f.text && el("span", { class: "soft" }, f.text)))), data.more[kind] && el("p", { class: "small soft" }, "and " + data.more[kind] + " more")); })];
}
