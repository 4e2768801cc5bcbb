package page

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/config/store"
)

// Moment is something that happened, as api/timeline lists it.
type Moment struct {
	Time     time.Time `json:"t"`
	Kind     string    `json:"kind"`  // deploy, instance, health, ejection, config or leader
	State    string    `json:"state"` // how bad it is: pass, warn, fail, or unknown for neither
	Service  string    `json:"service,omitempty"`
	Instance string    `json:"instance,omitempty"`
	Subject  string    `json:"subject,omitempty"` // the election, or the document
	Text     string    `json:"text"`
	Times    int       `json:"times,omitempty"` // how often it happened since First, if more than once
	First    time.Time `json:"first,omitzero"`
	Version  uint64    `json:"version,omitempty"` // of the document
}

// The kinds of moments.
const (
	kindDeploy   = "deploy"   // a version of a service appeared, or is the only one left
	kindInstance = "instance" // an instance came, stopped, was lost, began again
	kindHealth   = "health"   // the verdict on a service changed
	kindEjection = "ejection" // this process's router took an instance out of rotation, or back in
	kindConfig   = "config"   // the running configuration, or a document of its store, changed
	kindLeader   = "leader"   // somebody leads, or nobody
)

var kinds = []string{kindDeploy, kindInstance, kindHealth, kindEjection, kindConfig, kindLeader}

// Bounds of the timeline.
const (
	momentsKept = 1000
	momentText  = 300              // bytes
	momentName  = 200              // bytes
	sameWithin  = 10 * time.Minute // the same again within this time is one moment with a count
	sameAmong   = 50               // and among so many of the newest
)

// timeline keeps the newest moments since the page was made.
type timeline struct {
	mu   sync.Mutex
	list []Moment // by time of the last occurrence, newest last
}

// add notes a moment. What flaps is counted, so that it pushes nothing else out.
func (l *timeline) add(m Moment) {
	m.Service, m.Instance, m.Subject, m.Text = cut(m.Service, momentName), cut(m.Instance, momentName), cut(m.Subject, momentName), cut(m.Text, momentText)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.list) - 1; i >= max(0, len(l.list)-sameAmong); i-- {
		o := l.list[i]
		if o.Kind == m.Kind && o.Service == m.Service && o.Instance == m.Instance && o.Subject == m.Subject && o.Text == m.Text && m.Time.Sub(o.Time) <= sameWithin {
			m.Times, m.First = max(o.Times, 1)+1, o.First
			if m.First.IsZero() {
				m.First = o.Time
			}
			l.list = slices.Delete(l.list, i, i+1)
			break
		}
	}
	l.list = append(l.list, m)
	if over := len(l.list) - momentsKept; over > 0 {
		l.list = slices.Delete(l.list, 0, over)
	}
}

func (l *timeline) all() []Moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// cut shortens a text to n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}

// moments answers api/timeline.
func (p *Page) moments(r *http.Request) (any, error) {
	v := r.URL.Query()
	n, err := limit(r, 200)
	if err != nil {
		return nil, err
	}
	var wanted []string
	if s := v.Get("kind"); s != "" {
		for kind := range strings.SplitSeq(s, ",") {
			if !slices.Contains(kinds, kind) {
				return nil, &badRequest{fmt.Errorf("kind %q, want some of %s", kind, strings.Join(kinds, ","))}
			}
			wanted = append(wanted, kind)
		}
	}
	out := struct {
		Since   time.Time `json:"since"` // when the page began to watch
		Moments []Moment  `json:"moments"`
		Problem string    `json:"problem,omitempty"` // why the store's history is missing
	}{Since: p.series.began, Moments: []Moment{}}
	all := p.timeline.all()
	slices.Reverse(all) // of moments at the same time the later one is newer
	if wanted == nil || slices.Contains(wanted, kindConfig) {
		written, err := p.written(r)
		if err != nil {
			out.Problem = err.Error()
		}
		all = append(all, written...)
	}
	slices.SortStableFunc(all, func(a, b Moment) int { return b.Time.Compare(a.Time) })
	service := v.Get("service")
	for _, m := range all {
		if (wanted == nil || slices.Contains(wanted, m.Kind)) && (service == "" || m.Service == service) && len(out.Moments) < n {
			out.Moments = append(out.Moments, m)
		}
	}
	return out, nil
}

// written are the newest versions of the store's documents.
func (p *Page) written(r *http.Request) ([]Moment, error) {
	if p.o.documents == nil || r.URL.Query().Get("service") != "" {
		return nil, nil
	}
	return p.writes.get(r.Context(), p.askVersions)
}

func (p *Page) askVersions(ctx context.Context, _ []Moment) ([]Moment, error) {
	names, err := p.o.documents.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	var out []Moment
	for _, name := range names[:min(len(names), documentsAsked)] {
		for d, err := range p.o.documents.History(ctx, store.Query{Namespace: name, Limit: versionsAsked}) {
			if err != nil {
				return out, err
			}
			out = append(out, Moment{Time: d.Time, Kind: kindConfig, State: "unknown", Subject: cut(d.Namespace, momentName), Version: d.Number, Text: cut("version"+strings.TrimPrefix(d.String(), d.Namespace), momentText)})
		}
	}
	return out, nil
}

// Bounds of what the timeline asks a store for.
const (
	documentsAsked = 20
	versionsAsked  = 50
	versionsTime   = 3 * time.Second
	versionsStand  = 2 * time.Second // for all readers
)
