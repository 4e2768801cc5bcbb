
// ---- the newest events
const eventsData = () => api("events?" + here().q);
// eventText is a record's data, a few lines of it until it is clicked.
function eventText(e) {
  const open = isOpen(e.id);
  let text = e.data;
  if (open) try { text = JSON.stringify(JSON.parse(e.data), null, 2); } catch { /* no JSON, or cut */ }
  return el("button", { class: "data", type: "button", "aria-expanded": String(open), title: open ? "Less" : "All of it", onclick: () => toggle(e.id) }, el("code", {}, text));
}
function events(o, list) {
  return [el("h1", { class: "row top" }, "Events"), filters("events", [["type", "type", "such as order.*"], ["subject", "subject", "any"], ["source", "source", "any"]]),
    table(["type", "subject", "data", "source", "#time"], list.map((e) => ({ key: e.id, cells: [el("a", { class: "chip", href: "#events?" + query({ type: e.type }) }, e.type), e.subject ? el("a", { href: "#events?" + query({ subject: e.subject }) }, e.subject) : "–", e.data ? eventText(e) : "–", e.source || "–", el("span", { title: e.time }, when(e.time))] })), ["No event fits", "New ones show here by themselves."])];
}
