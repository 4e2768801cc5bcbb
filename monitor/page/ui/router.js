
// ---- what the router thinks of each instance
let pickedBefore = new Map();
async function routerData(o) {
  const only = here().q.get("service"), names = [...new Set([...(o.routed || []), ...o.services.map((v) => v.service)])].filter((s) => s && (!only || s === only)).sort();
  return Promise.all(names.map((s) => api("router?" + query({ service: s }))));
}
function routerView(o, list) {
  const now = Date.now(), cards = [];
  for (const e of list) {
    if (!e.nodes?.length) continue;
    const before = pickedBefore.get(e.service), picks = e.nodes.map((n) => n.picks - (before?.of[n.id] || 0)), all = picks.reduce((a, b) => a + b, 0);
    if (!before || now - before.at > 10000) pickedBefore.set(e.service, { at: now, of: Object.fromEntries(e.nodes.map((n) => [n.id, n.picks])) });
    const slow = Math.max(...e.nodes.map((n) => n.latency), 1), best = Math.min(...e.nodes.map((n) => n.score).filter((s) => s > 0));
    cards.push(el("div", { class: "row", style: "margin:1.4rem 0 .6rem", "data-key": "h" + e.service }, el("h2", { class: "h3" }, el("a", { href: toService(e.service) }, e.service)), pill(e.panic ? "fail" : e.healthy < e.known ? "warn" : "pass", e.healthy + " of " + e.known + " in rotation"),
      el("span", { class: "soft" }, [e.strategy, e.rule && "rule " + e.rule + (e.variant ? " → " + e.variant : ""), e.fallback && "fallback: " + e.fallback, e.panic && "too few are healthy: health is ignored"].filter(Boolean).join(" · "))));
    cards.push(table(["instance", "share of picks", "#in flight", "latency", "#success", "#cost", "#weight", "decision"], e.nodes.map((n, i) => ({ key: n.id, cells: [[el("div", {}, n.id), el("small", { class: "soft mono" }, n.address)], bar(all ? picks[i] / all : 0, all ? percent(picks[i] / all) : "–"), n.inFlight, bar(n.latency / slow, ms(n.latency), n.latency > 3 * median(e.nodes.map((x) => x.latency)) ? "warn" : "p50"), el("span", { class: n.success < .99 && "fail" }, percent(n.success)), n.score ? el("span", { title: "in relation to the cheapest; lower is chosen more" }, "×" + (n.score / best).toFixed(1)) : "–", num(n.weight),
      n.ejected ? [pill("fail", "out"), el("div", { class: "small" }, n.reason), el("div", { class: "small soft" }, "tried again at " + clock(n.until))] : n.why ? pill("warn", n.why) : [pill("pass", "in rotation"), !n.inSubset && el("div", { class: "small soft" }, "outside of this client's subset")]] }))));
  }
  const only = here().q.get("service");
  return [el("div", { class: "row" }, el("h1", {}, "Router"), only && el("a", { href: "#router" }, "all services")), el("p", { class: "soft" }, "How this process chooses among the instances of the services that it calls. Shares are of the last seconds."), ...(cards.length ? cards : [empty("This process has called no service yet", "Choices show with the first call.")])];
}
const median = (v) => [...v].sort((a, b) => a - b)[v.length >> 1];
