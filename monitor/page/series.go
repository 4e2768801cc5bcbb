package page

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/monitor"
)

const (
	sampleEvery = 2 * time.Second
	samplesKept = 150 // five minutes
)

// Point is one sample of a service.
type Point struct {
	Time   time.Time     `json:"t"`
	Rate   float64       `json:"rate"`   // calls served per second
	Errors float64       `json:"errors"` // of which failed, per second
	P50    time.Duration `json:"p50"`    // of the last minute, estimated from the instances'; 0: no calls
	P95    time.Duration `json:"p95"`
	P99    time.Duration `json:"p99"`
}

// series keeps the last minutes of every service.
type series struct {
	mu        sync.Mutex
	byService map[string]*history
}

type history struct {
	points []Point
	last   map[string]counts // by instance
	at     time.Time
}

type counts struct{ calls, errors uint64 }

func (s *series) run(ctx context.Context, mo monitor.Monitor) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		s.sample(mo.Cluster())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *series) sample(c monitor.Cluster) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[string]bool{}
	for _, service := range c.Services() {
		known[service] = true
		h := s.byService[service]
		if h == nil {
			h = &history{last: map[string]counts{}}
			s.byService[service] = h
		}
		h.add(now, c.View(service))
	}
	for service := range s.byService {
		if !known[service] {
			delete(s.byService, service)
		}
	}
}

// add turns counts that only grow into rates. An instance that began anew, or
// that is new here, counts from its next sample on.
func (h *history) add(now time.Time, v monitor.View) {
	p := Point{Time: now}
	next := map[string]counts{}
	var calls, errors uint64
	var windows []monitor.Counts
	for _, m := range v.Members {
		id := m.Status.Instance.ID
		var sum counts
		for _, e := range m.Stats.Endpoints {
			if e.Client {
				continue
			}
			sum.calls += e.Total.Calls
			sum.errors += e.Total.Errors
			if m.Presence == monitor.Present {
				windows = append(windows, e.Window)
			}
		}
		if before, ok := h.last[id]; ok && sum.calls >= before.calls && sum.errors >= before.errors {
			calls += sum.calls - before.calls
			errors += sum.errors - before.errors
		}
		next[id] = sum
	}
	p.P50, p.P95, p.P99 = quantile(windows, .5), quantile(windows, .95), quantile(windows, .99)
	if !h.at.IsZero() {
		over := now.Sub(h.at).Seconds()
		p.Rate, p.Errors = float64(calls)/over, float64(errors)/over
		h.points = append(h.points, p)
		if len(h.points) > samplesKept {
			h.points = h.points[1:]
		}
	}
	h.at, h.last = now, next
}

// all returns a copy.
func (s *series) all() map[string][]Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]Point, len(s.byService))
	for service, h := range s.byService {
		out[service] = append([]Point{}, h.points...)
	}
	return out
}
