
// ---- log levels
const levelsData = () => api("levels");
const names = ["DEBUG", "INFO", "WARN", "ERROR"], levelState = { DEBUG: "accent", INFO: "pass", WARN: "warn", ERROR: "fail" };
const spans = [["10m", "10 minutes"], ["1h", "an hour"], ["", "good"]];
const levelFields = (now) => [el("label", {}, "level", el("select", { name: "level", now }, names.map((x) => el("option", {}, x)))), el("label", {}, "for", el("select", { name: "for" }, spans.map(([v, t]) => el("option", { value: v }, t)))), el("button", { class: "main" }, "Set")];
function levels(o, rules) {
  const set = (e, fixed) => { e.preventDefault(); const d = Object.fromEntries(new FormData(e.currentTarget)); const name = fixed ?? d.name; act((name || "All loggers") + ": " + d.level, "levels?" + new URLSearchParams({ ...d, name })); };
  return [el("h1", {}, "Log levels"), el("p", { class: "soft" }, "A rule holds for a logger and those below it: db for db.pool too. " + (session.write ? "A rule that is set for a time goes back by itself." : "You may look, not change.")),
    session.write && el("form", { class: "card", onsubmit: (e) => set(e) }, el("label", {}, "logger", el("input", { name: "name", placeholder: "empty: all", autocomplete: "off" })), levelFields("DEBUG")),
    table(["logger", "level"], Object.entries(rules).sort().map(([n, v]) => ({ key: "l" + n, cells: [n ? el("code", {}, n) : el("span", { class: "soft" }, "all others"), pill(levelState[v] || "accent", v)] })))];
}
