
// ---- locks, permits and leaderships of this process
const locksData = () => api("locks");
function locks(o, list) {
  const ago = (t) => span((new Date(o.now) - new Date(t)) / 1000);
  return [el("h1", {}, "Locks and leaders"), el("p", { class: "soft" }, "What this process holds and waits for. A lease is renewed all the time; its holder stops by itself when that fails."),
    table(["id", "kind", "state", "#since", "#fencing token", "#lease ends in", "owner", "leader"], list.map((h) => ({ key: h.kind + h.id + h.since, aim: here().q.get("id") === h.id, cells: [el("span", { class: "mono" }, h.id), el("span", { class: "chip" }, h.kind === "leader" ? "leadership" : h.kind), h.waiting ? pill("warn", "waiting") : pill("pass", h.kind === "leader" ? "elected" : "held"), el("span", { title: h.since }, ago(h.since) === "now" ? "now" : ago(h.since) + " ago"), h.token || "–", h.waiting ? "–" : ms(h.left), el("span", { class: "soft" }, h.owner), h.waiting && h.kind === "leader" ? h.leader || "nobody" : h.kind === "leader" ? "this process" : "–"] })), ["Nothing is held", "Locks show here while this process holds or waits for them."])];
}
