
// ---- what happened
const momentKinds = { deploy: "deploys", instance: "instances", health: "health", ejection: "ejections", config: "configuration", leader: "leadership" };
const timelineData = () => { const q = here().q; return api("timeline?" + query({ kind: q.get("kind"), service: q.get("service") })); };
const toMoment = (m) => m.kind === "config" ? m.version ? "#config?" + query({ tab: "documents", ns: m.subject, v: m.version }) : "#config?tab=changes" : m.kind === "leader" ? "#locks" : m.kind === "ejection" ? "#router?" + query({ service: m.service }) : "#service?" + query({ name: m.service, instance: m.instance });
const momentName = (m) => [m.service, m.instance].filter(Boolean).join(" / ") || m.subject || "configuration";
// momentList shows moments, of one service without its name.
function momentList(list, ofOne) {
  let day = new Date().toDateString();
  return el("ol", { class: "card line" }, list.map((m) => {
    const d = new Date(m.t).toDateString(), other = d !== day; day = d;
    return el("li", { "data-key": [m.t, m.kind, m.service, m.instance, m.subject, m.version, m.text].join(), class: m.state },
      other && el("div", { class: "day" }, new Date(m.t).toLocaleDateString([], { dateStyle: "full" })),
      el("time", { datetime: m.t, title: m.t }, clock(m.t)), el("span", { class: "mark", title: momentKinds[m.kind] }, icon(m.kind)),
      el("div", { class: "what" }, el("a", { href: toMoment(m) }, ofOne ? m.instance || m.service : momentName(m)), el("span", { class: "unseen" }, " (" + momentKinds[m.kind] + ")"), " ", el("span", { class: "soft" }, m.text), m.times > 1 && [" ", el("span", { class: "chip" }, "× " + m.times + " since " + when(m.first))]));
  }));
}
function timeline(o, { moments, since, problem }) {
  const q = here().q, kind = q.get("kind") || "", service = q.get("service") || "", services = [...new Set([...o.services.map((v) => v.service), service])].filter(Boolean).sort();
  const chosen = kind ? kind.split(",") : [], flip = (k) => chosen.includes(k) ? chosen.filter((x) => x !== k) : [...chosen, k];
  return [el("div", { class: "row top" }, el("h1", {}, "Timeline"), el("span", { class: "soft" }, "watched since " + when(since)), el("span", { class: "push" }),
      el("select", { "aria-label": "only of", now: service, onchange: (e) => { go("timeline", { kind, service: e.currentTarget.value }); } }, el("option", { value: "" }, "all services"), services.map((s) => el("option", { value: s }, s)))),
    el("div", { class: "row top", role: "group", "aria-label": "kinds" }, el("a", { class: "choice", href: "#timeline?" + query({ service }), "aria-current": !chosen.length && "true" }, "all"), Object.entries(momentKinds).map(([k, name]) => el("a", { class: "choice", href: "#timeline?" + query({ kind: flip(k).join(","), service }), "aria-current": chosen.includes(k) && "true" }, icon(k), name))),
    problem && el("p", { class: "warn" }, "Documents can't be asked: " + problem),
    !moments.length ? empty("Nothing happened" + (kind || service ? " of that kind" : " yet"), "Deploys, instances that come and go, ejections, changes of configuration and of leaders show here.") :
      momentList(moments),
    el("p", { class: "small soft" }, "The newest 200 that fit, of the newest 1000 moments by this process's view. Ejections are those of its own router, leaders those of elections that it takes part in" + (o.parts.documents ? "; of each of 20 documents the newest 50 versions show." : "."))];
}
