
// ---- the newest events
const eventsData = () => api("events?" + here().q);
function events(o, list) {
  return [el("h1", { class: "row top" }, "Events"), filters("events", [["type", "type", "such as order.*"], ["subject", "subject", "any"], ["source", "source", "any"]]),
    table(["type", "subject", "data", "source", "#time"], list.map((e) => ({ key: e.id, cells: [el("a", { class: "chip", href: "#events?" + query({ type: e.type }) }, e.type), e.subject ? el("a", { href: "#events?" + query({ subject: e.subject }) }, e.subject) : "–", e.data ? el("code", {}, e.data) : "–", e.source || "–", el("span", { title: e.time }, when(e.time))] })), ["No event fits", "New ones show here by themselves."])];
}
