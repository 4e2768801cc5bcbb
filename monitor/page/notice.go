package page

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/monitor"
)

// notice finds out what happened between two samples of the cluster.
type notice struct {
	began    time.Time
	line     *timeline
	services map[string]*noted
}

// noted is what a service was at the last sample.
type noted struct {
	verdict   monitor.State
	judged    bool // the verdict has been other than unknown
	instances map[string]seen
	versions  map[string]bool // of the instances that did not stop
}

type seen struct {
	presence monitor.Presence
	run      uint64 // which process it was: the part of Report.Seq that its start decides
	version  string
}

// runBits is how much of Report.Seq counts the reports of a process.
const runBits = 20

// look compares the views of all services with those before.
func (n *notice) look(now time.Time, views []monitor.View) {
	known := map[string]bool{}
	for _, v := range views {
		known[v.Service] = true
		old := n.services[v.Service]
		if old == nil {
			old = &noted{}
		}
		n.services[v.Service] = n.compare(now, v, old)
	}
	maps.DeleteFunc(n.services, func(service string, _ *noted) bool { return !known[service] })
}

func (n *notice) compare(now time.Time, v monitor.View, old *noted) *noted {
	next := &noted{verdict: v.Verdict, judged: old.judged || v.Verdict != monitor.Unknown, instances: map[string]seen{}, versions: map[string]bool{}}
	for _, m := range v.Members {
		in := m.Status.Instance
		s := seen{m.Presence, m.Seq >> runBits, in.Version}
		next.instances[in.ID] = s
		if m.Presence != monitor.Gone && in.Version != "" {
			next.versions[in.Version] = true
		}
		before, was := old.instances[in.ID]
		if !was && m.Was != "" {
			before, was = old.instances[m.Was] // it was given its name
		}
		if text, state := n.happened(now, m, s, before, was); text != "" {
			n.line.add(Moment{Time: now, Kind: kindInstance, State: state, Service: v.Service, Instance: in.ID, Text: text})
		}
	}
	n.deployed(now, v, next, old)
	if old.judged && v.Verdict != old.verdict {
		text := fmt.Sprintf("%s → %s", old.verdict, v.Verdict)
		if len(v.Reasons) > 0 {
			text += ": " + strings.Join(v.Reasons, ", ")
		}
		n.line.add(Moment{Time: now, Kind: kindHealth, State: v.Verdict.String(), Service: v.Service, Text: text})
	}
	return next
}

// happened says what became of an instance, if anything.
func (n *notice) happened(now time.Time, m monitor.Member, s, before seen, was bool) (text, state string) {
	switch {
	case !was && (m.Presence != monitor.Present || m.Stats.Process.Uptime >= now.Sub(n.began)-m.Age):
		return "", "" // it was there before the page
	case !was:
		return "came" + version(s.version), "pass"
	case s.presence == before.presence && s.run != before.run:
		return "began again" + version(s.version), "warn"
	case s.presence == before.presence:
		return "", ""
	case s.presence == monitor.Gone:
		return "stopped", "unknown"
	case s.presence == monitor.Lost:
		return "lost: no report for " + m.Age.Round(100*time.Millisecond).String(), "fail"
	case before.presence == monitor.Lost && s.run == before.run:
		return "heard again", "pass"
	}
	return "came back" + version(s.version), "pass"
}

func version(v string) string {
	if v == "" {
		return ""
	}
	return ", version " + v
}

// deployed notes versions that appear, and the end of a rollout.
func (n *notice) deployed(now time.Time, v monitor.View, next, old *noted) {
	add := func(text string) {
		n.line.add(Moment{Time: now, Kind: kindDeploy, State: "accent", Service: v.Service, Text: text})
	}
	var fresh, left []string
	for _, m := range v.Members {
		in := m.Status.Instance
		if m.Presence != monitor.Present || in.Version == "" {
			continue
		}
		if !old.versions[in.Version] && (len(old.versions) > 0 || m.Stats.Process.Uptime < now.Sub(n.began)-m.Age) && !slices.Contains(fresh, in.Version) {
			fresh = append(fresh, in.Version)
			add("version " + in.Version + " appeared, with " + in.ID)
		}
	}
	for version := range old.versions {
		if !next.versions[version] {
			left = append(left, version)
		}
	}
	if len(left) == 0 || len(next.versions) != 1 {
		return
	}
	slices.Sort(left)
	for version := range next.versions {
		add("all instances are version " + version + " now; " + strings.Join(left, ", ") + " is gone")
	}
}
