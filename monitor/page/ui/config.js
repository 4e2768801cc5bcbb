
// ---- configuration: what runs, what changed, and the documents behind it
async function configData(o) {
  const q = here().q, tab = q.get("tab") || (o.parts.config ? "running" : "documents");
  if (tab !== "documents") return { tab, config: await api("config") };
  const names = await api("documents"), ns = q.get("ns") || names[0];
  if (!ns) return { tab, names };
  const versions = await api("versions?" + query({ namespace: ns })), newest = versions[0]?.number, v = +q.get("v") || newest;
  const against = q.get("with") === "newest" && v !== newest ? { from: v, to: newest } : { from: v > 1 ? v - 1 : "none", to: v };
  return { tab, names, ns, versions, newest, v, against, diff: await api("diff?" + query({ namespace: ns, ...against })) };
}
function differences(list, none) {
  if (!list.length) return el("p", { class: "soft" }, none);
  return el("div", { class: "diff" }, list.map((d) => el("div", {}, el("b", {}, d.path || "(the whole)"), d.origin && el("span", { class: "soft" }, "  " + d.origin), d.old !== undefined && el("del", {}, pretty(d.old)), d.new !== undefined && el("ins", {}, pretty(d.new)))));
}
const pretty = (v) => typeof v === "object" ? JSON.stringify(v, null, 2) : JSON.stringify(v);
function config(o, data) {
  const tabs = [["running", "Running", o.parts.config], ["changes", "Changes", o.parts.config], ["documents", "Documents", o.parts.documents]].filter((t) => t[2]);
  return [el("h1", { class: "row top" }, "Configuration"), tabs.length > 1 && el("div", { class: "tabs" }, tabs.map(([id, name]) => el("a", { href: "#config?tab=" + id, "aria-current": data.tab === id && "page" }, name))),
    ...{ running, changes, documents: documentsView }[data.tab](data)];
}
function running({ config: c }) {
  const only = here().q.get("f") || "";
  const fits = c.values.filter((v) => (v.path + " " + JSON.stringify(v.value) + " " + v.origin).toLowerCase().includes(only.toLowerCase()));
  return [el("div", { class: "row top" }, pill(c.ok ? "pass" : "fail", "version " + c.version), el("span", { class: "soft" }, "since " + when(c.applied)), el("span", { class: "push" }), el("input", { type: "search", placeholder: "Filter", "aria-label": "filter values", now: only, oninput: (e) => put({ f: e.currentTarget.value }) })),
    c.problem && el("pre", { class: "card fail" }, c.problem),
    table(["path", "value", "from"], fits.map((v) => ({ key: v.path, cells: [el("code", {}, v.path), el("code", {}, pretty(v.value)), el("span", { class: "soft" }, v.origin)] })), [only ? "No value fits" : "Nothing is configured", ""]),
    el("h2", {}, "Sources"), table(["source", "state", "revision", "#last read well"], c.sources.map((s) => ({ key: s.name, cells: [s.name, s.problem ? [pill("fail"), el("div", { class: "small fail" }, s.problem)] : s.unused ? pill("unknown", "gives no value") : pill("pass"), el("code", { class: "soft" }, (s.revision || "–").slice(0, 24)), when(s.lastGood)] })), ["No sources", ""])];
}
function changes({ config: c }) {
  return c.changes.map((x) => el("section", { class: "card", "data-key": x.version }, el("div", { class: "row" }, el("h2", { class: "h3" }, "Version " + x.version), el("span", { class: "soft" }, when(x.time))), differences(x.changes, x.version === c.changes.at(-1).version ? "The page began to watch here." : "No value changed.")));
}
const author = (v) => (v.author || "somebody") + ", " + when(v.time);
function documentsView({ names, ns, versions, newest, v, against, diff }) {
  if (!ns) return [empty("No documents", "The store is empty.")];
  const one = versions.find((x) => x.number === v);
  const to = (o) => "#config?" + query({ tab: "documents", ns, ...o });
  return [names.length > 1 && el("form", {}, el("label", {}, "document", el("select", { now: ns, onchange: (e) => go("config", { tab: "documents", ns: e.currentTarget.value }) }, names.map((n) => el("option", { value: n }, n))))),
    el("div", { class: "split" }, el("section", { class: "card", "aria-label": "versions" }, el("ol", { class: "history", reversed: true }, versions.map((x) => el("li", { "data-key": x.number }, el("a", { href: to({ v: x.number }), "aria-current": x.number === v && "true" },
      el("div", { class: "row" }, el("b", {}, x.number), el("span", { class: "chip" }, x.action + (x.of ? " to " + x.of : "")), x.path && el("code", { class: "small" }, x.path), x.number === newest && pill("accent plain", "newest")), el("div", { class: "small soft" }, author(x)), x.comment && el("div", { class: "small" }, x.comment)))))),
    one && el("section", { class: "card", "aria-label": "differences" }, el("div", { class: "row" }, el("h2", { class: "h3" }, ns + ", version " + v), el("span", { class: "soft" }, author(one)), el("span", { class: "push" }),
      session.write && v !== newest && !one.deleted && el("button", { type: "button", onclick: () => rollback(ns, v, newest) }, "Roll back to this")),
      one.comment && el("p", {}, one.comment),
      el("div", { class: "tabs", style: "margin-top:.6rem" }, el("a", { href: to({ v }), "aria-current": against.to === v && "true" }, "What it changed"), v !== newest && el("a", { href: to({ v, with: "newest" }), "aria-current": against.to !== v && "true" }, "Since then")),
      differences(diff, "The two are equal."), el("p", { class: "small faint" }, "SHA-256 ", el("code", {}, one.checksum.slice(0, 16)))))];
}
async function rollback(ns, to, newest) {
  const form = el("form", { method: "dialog" }, el("label", {}, "why", el("input", { name: "why", placeholder: "for the history", autocomplete: "off" })), el("button", { value: "no" }, "Cancel"), el("button", { class: "bad", value: "yes" }, "Roll back"));
  const answer = await dialog(el("h1", {}, "Roll " + ns + " back to version " + to + "?"), el("p", { class: "soft" }, "It becomes version " + (newest + 1) + ". Nothing is deleted. Running services follow within a second."), form);
  if (answer === "yes") act("Rolled back to version " + to, "rollback?" + query({ namespace: ns, to, newest, comment: form.elements.why.value })).then(() => go("config", { tab: "documents", ns }));
}
