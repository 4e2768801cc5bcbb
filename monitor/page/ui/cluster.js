
// ---- services and instances
// quantile estimates one of calls that were counted in several places, as quantile.go does.
function quantile(all, q) {
  const calls = all.reduce((n, c) => n + c.calls, 0);
  let low = 0, high = Math.max(0, ...all.map((c) => Math.max(c.max, c.p99)));
  if (!calls) return 0;
  const share = (c, d) => {
    let last = 0, at = 0;
    for (const [part, next] of [[.5, c.p50], [.95, c.p95], [.99, c.p99], [1, Math.max(c.max, c.p99)]]) {
      if (d < next) return last + (part - last) * (d - at) / (next - at);
      last = part; at = next;
    }
    return 1;
  };
  for (let i = 0; i < 40; i++) { const middle = (low + high) / 2; if (all.reduce((n, c) => n + c.calls * share(c, middle), 0) < q * calls) low = middle; else high = middle; }
  return high;
}
function traffic(members) { // of the last minute
  const sum = { rate: 0, failed: 0, calls: 0, errors: 0 }, windows = [];
  for (const m of members) if (m.presence === "present") for (const x of m.stats.endpoints || []) if (!x.client) {
    sum.calls += x.window.calls; sum.errors += x.window.errors; windows.push(x.window);
    if (x.window.over) { sum.rate += x.window.calls / x.window.over * 1e9; sum.failed += x.window.errors / x.window.over * 1e9; }
  }
  sum.p99 = quantile(windows, .99);
  sum.share = sum.calls ? sum.errors / sum.calls : 0;
  return sum;
}
const health = (m) => m.presence !== "present" ? m.presence : !m.status.live || !m.status.ready ? "fail" : m.status.state;
const members = (v) => v.members || [];
const registered = (o, service) => (o.registry || []).find((r) => r.service === service);
// silent lists the instances that the registry knows and nobody heard of.
const silent = (o, v) => (registered(o, v.service)?.instances || []).filter((i) => !members(v).some((m) => m.status.instance.id === i.id));
const toService = (name) => "#service?" + query({ name });
const reasons = (v) => [v.expected >= v.pass + v.warn ? v.pass + v.warn + " of " + plural(v.expected, "instance") + " healthy" : plural(v.pass + v.warn, "healthy instance"), ...(v.reasons || [])].join(" · ");

function checks(m) {
  return (m.status.checks || []).filter((c) => c.state !== "pass").map((c) => el("div", {}, el("span", { class: c.state }, c.name), ": ", c.error || c.state, c.shared && el("span", { class: "soft" }, " (most instances share it)"), c.stale && el("span", { class: "soft" }, " (stale)")));
}
function instanceRows(o, v) {
  const reg = new Map((registered(o, v.service)?.instances || []).map((i) => [i.id, i]));
  const rows = members(v).map((m) => {
    const i = m.status.instance, r = traffic([m]), known = reg.get(i.id);
    return { key: v.service + "/" + i.id, aim: aimed("instance", i.id), cells: [el("a", { href: "#service?" + query({ name: v.service, instance: i.id }) }, i.id), el("span", { class: "row" }, pill(health(m)), m.status.phase !== "running" && m.presence === "present" && el("span", { class: "soft" }, m.status.phase)),
      [i.version && el("span", { class: "chip" }, i.version), i.zone && el("span", { class: "chip" }, i.zone), chips(known?.labels)], num(r.rate), el("span", { class: r.share && "fail" }, percent(r.share)), ms(r.p99), checks(m), span(m.age / 1e9) === "now" ? "now" : span(m.age / 1e9) + " ago"] };
  });
  return rows.concat(silent(o, v).map((i) => ({ key: v.service + "/" + i.id, aim: aimed("instance", i.id), cells: [i.id, pill("unknown", "not heard"), [i.version && el("span", { class: "chip" }, i.version), i.zone && el("span", { class: "chip" }, i.zone), chips(i.labels)], "–", "–", "–", "the registry knows it at " + i.address, "never"] })));
}
const aimed = (what, id) => here().id === "service" && here().q.get(what) === id; // what a link is about
const instanceHeads = ["instance", "health", "version, zone, labels", "#calls/s", "#errors", "#p99", "checks", "#heard"];
const tile = (value, unit, text, cls) => el("div", { class: "tile" }, el("b", { class: cls }, value, unit && el("small", {}, " " + unit)), el("span", {}, text));
const byTrouble = ["fail", "unknown", "warn", "pass"];

// chosen are the services that the address asks for: in trouble, or with a text in their name or in
// an instance's id, version, zone or label.
function chosen(o) {
  const q = here().q, text = (q.get("f") || "").toLowerCase(), trouble = q.get("show") === "trouble";
  const words = (v) => [v.service, ...members(v).flatMap((m) => { const i = m.status.instance; return [i.id, i.version, i.zone]; }), ...(registered(o, v.service)?.instances || []).flatMap((i) => [i.id, ...Object.entries(i.labels || {}).map(([k, x]) => k + "=" + x)])].filter(Boolean).join(" ").toLowerCase();
  return o.services.filter((v) => (!trouble || v.verdict !== "pass") && words(v).includes(text));
}
const many = 12; // services beyond which each is a line instead of two plots
const crowded = (o) => chosen(o).length > many;
function choices(o) {
  const { q } = here(), trouble = o.services.filter((v) => v.verdict !== "pass").length, to = (show) => "#cluster?" + query({ ...Object.fromEntries(q), show });
  return el("div", { class: "row", style: "margin-bottom:.9rem" }, el("div", { class: "row", role: "group", "aria-label": "which services" }, el("a", { class: "choice", href: to(""), "aria-current": q.get("show") !== "trouble" && "true" }, "all " + o.services.length), el("a", { class: "choice", href: to("trouble"), "aria-current": q.get("show") === "trouble" && "true" }, trouble + " not well")),
    el("input", { type: "search", class: "push", style: "flex:0 1 22rem", "aria-label": "only services with", placeholder: "service, instance, version, label", autocomplete: "off", spellcheck: "false", maxlength: 100, now: q.get("f") || "", oninput: (e) => put({ f: e.currentTarget.value }) }));
}
const dots = (v) => el("div", { class: "dots" }, members(v).map((m) => el("a", { href: toService(v.service), tabindex: -1, class: health(m), title: m.status.instance.id + ": " + health(m), "aria-label": m.status.instance.id + ": " + health(m) })));
function serviceLine(v) {
  const t = traffic(members(v));
  return { key: v.service, cells: [el("a", { href: toService(v.service) }, v.service || "(no name)"), pill(v.verdict), dots(v), num(t.rate), el("span", { class: t.share && "fail" }, percent(t.share)), ms(t.p99), el("span", { class: "soft" }, reasons(v))] };
}
const serviceCard = (v, series) => el("section", { class: "card", "data-key": v.service, "aria-label": v.service || "no name" },
  el("div", { class: "row" }, el("h2", { class: "h3" }, el("a", { href: toService(v.service) }, v.service || "(no name)")), pill(v.verdict), el("span", { class: "push" }), dots(v)),
  el("p", { class: "soft small" }, reasons(v)), callsChart(v.service, series[v.service]), latencyChart(v.service, series[v.service]));

function cluster(o, { series }) {
  const services = chosen(o).sort((a, b) => byTrouble.indexOf(a.verdict) - byTrouble.indexOf(b.verdict) || a.service.localeCompare(b.service)), lines = crowded(o);
  if (!o.services.length) return [el("h1", { class: "row top" }, "Cluster"), empty("Nobody was heard of yet", "Instances show here a few seconds after they publish their first report.")];
  const all = o.services.flatMap(members), t = traffic(all), well = o.services.filter((v) => v.verdict === "pass").length, good = all.filter((m) => ["pass", "warn"].includes(health(m))).length;
  const known = all.filter((m) => m.presence !== "stopped").length + o.services.flatMap((v) => silent(o, v)).length;
  const rows = services.flatMap((v) => instanceRows(o, v)), poor = new Set(services.flatMap((v) => [...members(v).filter((m) => !["pass", "stopped"].includes(health(m))).map((m) => v.service + "/" + m.status.instance.id), ...silent(o, v).map((i) => v.service + "/" + i.id)]));
  const listed = lines ? rows.filter((r) => poor.has(r.key)) : rows;
  return [el("div", { class: "row top" }, el("h1", {}, "Cluster"), el("span", { class: "push" }), !lines && ranges(o.history)),
    el("div", { class: "tiles" }, tile(well, "of " + o.services.length, "services are well", well < o.services.length && "warn"), tile(good, "of " + known, "instances healthy", good < known && "warn"), tile(num(t.rate), "/s", "calls, last minute"), tile(percent(t.share), "", "of them failed", t.share > .01 && "fail"), tile(ms(Math.max(0, ...o.services.map((v) => traffic(members(v)).p99))), "", "slowest service's p99")),
    (o.services.length > 3 || here().q.get("f") || here().q.get("show")) && choices(o),
    !services.length ? empty("No service fits", el("a", { href: "#cluster" }, "all services")) : lines ? table(["service", "health", "instances", "#calls/s", "#errors", "#p99", "why"], services.map(serviceLine)) : el("div", { class: "cards" }, services.map((v) => serviceCard(v, series))),
    services.length > 0 && [el("h2", {}, lines ? "Instances that are not well" : "Instances"), table(instanceHeads, listed, lines && ["All instances are well", plural(rows.length, "instance") + " of " + plural(services.length, "service")])], !lines && historyNote(o.history)];
}

function service(o, { series, moments }) {
  const name = here().q.get("name") || "", v = o.services.find((x) => x.service === name);
  if (!v) return [el("h1", { class: "row top" }, name || "Service"), empty("No service " + name, el("a", { href: "#cluster" }, "all services"))];
  const r = registered(o, name), all = new Map();
  for (const m of members(v)) if (m.presence === "present") for (const e of m.stats.endpoints || []) {
    const key = (e.client ? "→ " + (e.service ? e.service + " " : "") : "") + e.method, s = all.get(key) || { key, client: e.client, rate: 0, calls: 0, errors: 0, inFlight: 0, windows: [] }, w = e.window;
    s.rate += w.over ? w.calls / w.over * 1e9 : 0; s.calls += w.calls; s.errors += w.errors; s.inFlight += e.inFlight;
    s.windows.push(w);
    all.set(key, s);
  }
  const endpoints = [...all.values()].sort((a, b) => !!a.client - !!b.client || b.rate - a.rate);
  return [el("div", { class: "row top" }, el("a", { href: "#cluster" }, "Cluster"), el("span", { class: "faint" }, "/"), el("h1", {}, name || "(no name)"), pill(v.verdict), el("span", { class: "soft" }, reasons(v)), el("span", { class: "push" }), ranges(o.history)),
    el("p", { class: "row small" }, el("a", { href: "#map?" + query({ service: name }) }, "its calls"), o.parts.traces && [el("a", { href: "#traces?" + query({ service: name }) }, "traces"), el("a", { href: "#traces?" + query({ service: name, errors: 1 }) }, "failed traces")], o.parts.router && (o.routed || []).includes(name) && el("a", { href: "#router?" + query({ service: name }) }, "routing"), el("a", { href: "#timeline?" + query({ service: name }) }, "timeline")),
    r && r.state !== "live" && el("p", { class: "warn" }, "The registry's view is " + r.state + (r.problem ? ": " + r.problem : "") + ", of " + when(r.asOf)),
    r && r.preserved > 0 && el("p", { class: "warn" }, plural(r.preserved, "instance") + " expired in the registry and kept: too many expired at once"),
    el("div", { class: "card pair", style: "--tall:8rem" }, callsChart(name, series[name], moments), errorsChart(name, series[name], moments), latencyChart(name, series[name], moments)),
    el("h2", {}, "Endpoints, last minute"), table(["endpoint", "#calls/s", "#errors", "#p50", "#p95", "#p99", "#in flight"], endpoints.map((e) => ({ key: e.key, aim: aimed("endpoint", e.key), cells: [el("span", { class: e.client && "soft" }, e.key), num(e.rate), el("span", { class: e.errors && "fail" }, percent(e.calls ? e.errors / e.calls : 0)), ...[.5, .95, .99].map((q) => ms(quantile(e.windows, q))), e.inFlight] })), ["No calls yet", "Endpoints show once they are called."]),
    moments.length > 0 && [el("div", { class: "row", style: "margin:1.6rem 0 .6rem" }, el("h2", { style: "margin:0" }, "What happened"), el("a", { class: "small", href: "#timeline?" + query({ service: name }) }, "all of it")), momentList(moments.slice(0, 5), true)],
    el("h2", {}, "Instances"), table(instanceHeads, instanceRows(o, v)),
    el("h2", {}, "Processes"), table(["instance", "address", "#up for", "#memory", "#heap", "#goroutines", "#files", "#GC pause p99", "go"], members(v).map((m) => { const p = m.stats.process; return { key: m.status.instance.id, cells: [m.status.instance.id, m.status.instance.address || r?.instances.find((i) => i.id === m.status.instance.id)?.address || "–", span(p.uptime / 1e9), bytes(p.rss), bytes(p.heapLive), p.goroutines, p.fds || "–", ms(p.gcPause), p.go] }; }))];
}
