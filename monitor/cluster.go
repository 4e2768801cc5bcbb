package monitor

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
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

// cluster keeps the newest report of each instance.
type cluster struct {
	self     Instance
	policy   Policy
	expected func(service string) ([]string, bool)
	done     <-chan struct{} // closed when the Monitor is

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
		// A panic of the user's function says what it says when it does not know.
		_ = fault.Guard(func() error {
			ids, known := c.expected(service)
			if known {
				v.Expected = len(ids)
			}
			return nil
		})
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
	return failing > 0 && float64(failing+1) >= c.policy.FailOpen*float64(peers+1)
}

func (c *cluster) Watch(ctx context.Context, service string) iter.Seq[View] {
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
			case <-c.done:
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
