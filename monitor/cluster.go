package monitor

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/watch"
)

// Cluster is what this process knows of all instances of all services.
type Cluster interface {
	// Services returns the names of the services that were heard of.
	Services() []string
	// View returns the view of one service.
	View(service string) View
	// Watch yields the view of a service, then each change of its verdict or
	// members, until ctx ends or the Monitor is closed.
	Watch(ctx context.Context, service string) iter.Seq[View]
}

// Presence says how an instance is in a view.
type Presence uint8

const (
	Present Presence = iota // its reports come
	Lost                    // its reports ended without a word
	Gone                    // it said that it stops
)

var presenceNames = [...]string{"present", "lost", "stopped"}

// String returns "present", "lost" or "stopped".
func (p Presence) String() string { return name(presenceNames[:], int(p)) }

// MarshalText makes a Presence its name in JSON.
func (p Presence) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name.
func (p *Presence) UnmarshalText(b []byte) error { return unname(presenceNames[:], b, p) }

// Member is one instance in a view.
type Member struct {
	Report
	Presence Presence      `json:"presence"`
	Age      time.Duration `json:"age"` // since its newest report was heard here
}

// View is how a service is, as one observer sees it.
type View struct {
	Service  string         `json:"service"`
	Observer string         `json:"observer"` // the instance that sees it so
	Verdict  State          `json:"verdict"`
	Reasons  []string       `json:"reasons,omitempty"` // why the verdict is not pass
	Expected int            `json:"expected"`          // how many instances discovery knows; -1: nobody knows
	Pass     int            `json:"pass"`
	Warn     int            `json:"warn"`
	Fail     int            `json:"fail"`
	Unknown  int            `json:"unknown"`
	Lost     int            `json:"lost"`
	Stopped  int            `json:"stopped"`
	ByCheck  map[string]int `json:"byCheck,omitempty"` // how many instances fail each check
	Members  []Member       `json:"members"`           // by id
}

// cluster keeps the newest report of each instance.
type cluster struct {
	self     Instance
	policy   Policy
	expected func(service string) ([]string, bool)

	mu       sync.RWMutex
	services map[string]map[string]*heard // service → id
	watchers map[*watcher]struct{}
}

type heard struct {
	report Report
	at     time.Time // monotonic, of this process
}

type watcher struct {
	service string
	wake    *watch.Coalesce[struct{}]
}

// seqBits is how much of a report's number counts the reports of a process. What
// stands above is when the process began.
const seqBits = 20

func newCluster(self Instance, p Policy, expected func(string) ([]string, bool)) *cluster {
	return &cluster{
		self: self, policy: p, expected: expected,
		services: map[string]map[string]*heard{}, watchers: map[*watcher]struct{}{},
	}
}

// identify changes who this process is.
func (c *cluster) identify(self Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = self
}

// take notes a report, unless it is an older one of its instance.
func (c *cluster) take(r Report) {
	in := r.Status.Instance
	if in.ID == "" || r.TTL <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := c.services[in.Service]
	if r.Was != "" && r.Was != in.ID {
		for _, ids := range c.services { // the service may have been unknown then
			delete(ids, r.Was)
		}
	}
	if ids == nil {
		ids = map[string]*heard{}
		c.services[in.Service] = ids
	}
	if h := ids[in.ID]; h != nil && h.report.Seq >= r.Seq {
		// A process that began again after its clock was set back counts from
		// further down. It is believed once the one before has fallen silent.
		if r.Seq>>seqBits == h.report.Seq>>seqBits || time.Since(h.at) <= h.report.TTL {
			return
		}
	}
	ids[in.ID] = &heard{report: r, at: time.Now()}
	c.wake(in.Service)
}

// wake must be called with the lock held.
func (c *cluster) wake(service string) {
	for w := range c.watchers {
		if w.service == service {
			w.wake.Push(struct{}{})
		}
	}
}

// expire forgets instances that are over for longer than Keep and wakes all
// watchers, whose members may have been lost by time alone.
func (c *cluster) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for service, ids := range c.services {
		for id, h := range ids {
			if time.Since(h.at) > h.report.TTL+c.policy.Keep {
				delete(ids, id)
			}
		}
		if len(ids) == 0 {
			delete(c.services, service)
		}
		c.wake(service)
	}
}

func (c *cluster) Services() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]string, 0, len(c.services))
	for s := range c.services {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (c *cluster) View(service string) View {
	v := View{Service: service, Expected: -1, ByCheck: map[string]int{}}
	if c.expected != nil {
		if ids, known := c.expected(service); known {
			v.Expected = len(ids)
		}
	}
	c.mu.RLock()
	v.Observer = c.self.ID
	for _, h := range c.services[service] {
		v.count(Member{Report: h.report, Age: time.Since(h.at)})
	}
	c.mu.RUnlock()
	slices.SortFunc(v.Members, func(a, b Member) int {
		return cmp.Compare(a.Status.Instance.ID, b.Status.Instance.ID)
	})
	v.judge(c.policy)
	return v
}

func (v *View) count(m Member) {
	s := m.Status
	switch {
	case s.Phase == Stopped:
		m.Presence = Gone
		v.Stopped++
	case m.Age > m.TTL:
		m.Presence = Lost
		v.Lost++
	default:
		switch {
		case !s.Ready || s.State == Fail:
			v.Fail++
		case s.State == Pass:
			v.Pass++
		case s.State == Warn:
			v.Warn++
		default:
			v.Unknown++
		}
		for _, r := range s.Checks {
			if r.State == Fail || r.Shared {
				v.ByCheck[r.Name]++
			}
		}
	}
	v.Members = append(v.Members, m)
}

// judge sets the verdict. Unknown wins: who hears too few may be the one that
// is cut off.
func (v *View) judge(p Policy) {
	heard, healthy := v.Pass+v.Warn+v.Fail+v.Unknown, v.Pass+v.Warn
	need := p.MinHealthy * float64(v.Expected)
	reason := func(s State, format string, args ...any) {
		if v.Verdict != Unknown && (s == Unknown || s > v.Verdict) {
			v.Verdict = s
		}
		v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
	}
	v.Verdict = Pass
	switch {
	case v.Expected < 0:
		reason(Unknown, "no list of the instances that there should be")
	case v.Expected == 0 && heard == 0:
		reason(Unknown, "no instances")
	case float64(heard) < need:
		reason(Unknown, "%d of %d instances heard: this observer may be cut off", heard, v.Expected)
	case float64(healthy) < need:
		reason(Fail, "%d of %d instances healthy", healthy, v.Expected)
	case heard < v.Expected:
		reason(Warn, "%d of %d instances heard", heard, v.Expected)
	}
	if v.Verdict == Unknown {
		return
	}
	for _, x := range []struct {
		n    int
		what string
	}{{v.Fail, "fail"}, {v.Warn, "warn"}, {v.Unknown, "unknown"}, {v.Lost, "lost"}} {
		if x.n > 0 {
			reason(Warn, "%d %s", x.n, x.what)
		}
	}
}

// shared reports whether so many instances of this process's service fail a
// check of the dependency that its failure says nothing about this one.
func (c *cluster) shared(dependency string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	peers, failing := 0, 0
	for id, h := range c.services[c.self.Service] {
		if id == c.self.ID || h.report.Status.Phase == Stopped || time.Since(h.at) > h.report.TTL {
			continue
		}
		peers++
		for _, r := range h.report.Status.Checks {
			if r.Dependency == dependency && (r.State == Fail || r.Shared) {
				failing++
				break
			}
		}
	}
	// This instance, which fails too, is one of them; alone it is no majority.
	return peers > 0 && failing > 0 && float64(failing+1) >= c.policy.FailOpen*float64(peers+1)
}

func (c *cluster) watch(ctx context.Context, done <-chan struct{}, service string) iter.Seq[View] {
	return func(yield func(View) bool) {
		w := &watcher{service: service, wake: watch.NewCoalesce[struct{}]()}
		c.mu.Lock()
		c.watchers[w] = struct{}{}
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			delete(c.watchers, w)
			c.mu.Unlock()
		}()
		last := c.View(service)
		if !yield(last) {
			return
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-done:
				return
			case <-w.wake.C():
			}
			if v := c.View(service); !v.same(last) {
				last = v
				if !yield(v) {
					return
				}
			}
		}
	}
}

// same reports whether two views differ in nothing but ages and numbers.
func (v View) same(o View) bool {
	return v.Verdict == o.Verdict && v.Expected == o.Expected && slices.Equal(v.Reasons, o.Reasons) &&
		slices.EqualFunc(v.Members, o.Members, func(a, b Member) bool {
			return a.Status.Instance == b.Status.Instance && a.Presence == b.Presence && a.Status.same(b.Status)
		})
}
