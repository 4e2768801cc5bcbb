
// ---- traces
const hue = (s) => { let h = 7; for (const c of s) h = (h * 31 + c.charCodeAt(0)) % 997; return (h * 137) % 300 + 60 }; // no red: that is for errors
// filters is a form whose fields stand in the address.
function filters(id, fields, ...more) {
  const q = here().q;
  const f = el("form", { "data-key": "filters", role: "search", onsubmit: (e) => { e.preventDefault(); go(id, Object.fromEntries(new FormData(e.currentTarget))); refresh(); } },
    fields.map(([name, label, hint, offered]) => el("label", {}, label, el("input", { name, value: q.get(name) || "", placeholder: hint, autocomplete: "off", spellcheck: "false", list: offered && "offered-" + name }), offered && el("datalist", { id: "offered-" + name }, offered.map((value) => el("option", { value }))))), more, el("button", { class: "main" }, "Find"),
    [...q.keys()].length > 0 && el("button", { type: "button", class: "quiet", onclick: () => { go(id); refresh(); } }, "Clear"));
  return f;
}
async function tracesData() {
  const q = here().q;
  return q.get("id") ? { spans: await api("trace?" + query({ id: q.get("id") })) } : api("traces?" + q);
}
function traces(o, data) {
  if (data.spans) return waterfall(here().q.get("id"), data.spans);
  const slow = Math.max(...data.traces.map((t) => t.duration), 1);
  return [el("h1", { class: "row top" }, "Traces"), filters("traces", [["service", "service", "any", o.services.map((v) => v.service).filter(Boolean)], ["name", "operation", "any"], ["min", "at least", "such as 100ms"]], el("label", { class: "check" }, el("input", { type: "checkbox", name: "errors", value: "1", checked: here().q.get("errors") === "1" }), "failed only")),
    table(["operation", "service", "duration", "#spans", "#errors", "#start"], data.traces.map((t) => ({ key: t.id, cells: [el("a", { href: "#traces?id=" + t.id }, t.name), el("span", { class: "chip" }, t.service), bar(t.duration / slow, ms(t.duration), t.errors && "fail"), t.spans, t.errors ? pill("fail", t.errors) : "0", finely(t.start)] })), ["No trace fits", "Sampling may leave some out; look for less."])];
}
function waterfall(id, spans) {
  const end = Math.max(1, ...spans.map((s) => s.start + s.duration)), failed = spans.filter((s) => s.error).length, services = [...new Set(spans.map((s) => s.service))];
  return [el("div", { class: "row top" }, el("a", { href: "#traces", id: "back" }, "Traces"), el("span", { class: "faint" }, "/"), el("h1", {}, spans[0].name), failed ? pill("fail", plural(failed, "error")) : pill("pass", "no error")),
    el("p", { class: "soft row" }, el("span", {}, ms(end)), el("span", {}, plural(spans.length, "span")), services.map((s) => el("span", { class: "nowrap" }, el("span", { class: "swatch", style: "--hue:" + hue(s), "aria-hidden": "true" }, "■ "), s)), el("code", { class: "faint" }, id), !token && el("a", { class: "small", href: "api/trace?" + query({ id }), download: id + ".json" }, "JSON")),
    el("div", { class: "card" }, el("ul", { class: "fall" }, el("li", { class: "ruler", "aria-hidden": "true" }, el("span"), el("div", {}, [0, .25, .5, .75, 1].map((p) => el("span", {}, p ? ms(end * p) : "0"))), el("span")),
      spans.map((s) => { const open = isOpen(s.id);
        return el("li", { class: s.error && "bad", style: "--depth:" + s.depth + ";--hue:" + hue(s.service) },
          el("button", { class: "span", type: "button", "aria-expanded": String(open), onclick: () => toggle(s.id) },
            el("span", { class: "name", title: s.name }, s.name, " ", el("small", {}, s.service + (s.kind === "internal" ? "" : " · " + s.kind))),
            el("span", { class: "time" }, el("i", { style: "left:" + (100 * s.start / end).toFixed(2) + "%;width:" + (100 * s.duration / end).toFixed(2) + "%" })), el("span", { class: "nowrap", style: "text-align:right" }, ms(s.duration)), el("span", { class: "unseen" }, (s.start ? ", after " + ms(s.start) : "") + (s.error ? ", failed" : ""))),
          (open || s.error) && el("dl", { class: "more" }, s.error && [el("dt", {}, "error"), el("dd", { class: "fail" }, s.error)], open && [el("dt", {}, "starts"), el("dd", {}, s.start ? "after " + ms(s.start) : "at once"), s.remote && [el("dt", {}, "peer"), el("dd", {}, s.remote)], Object.entries(s.tags || {}).map(([k, v]) => [el("dt", {}, k), el("dd", {}, el("code", {}, v))]), (s.events || []).map((e) => [el("dt", {}, "event"), el("dd", {}, e)])])); })))];
}
