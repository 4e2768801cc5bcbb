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
	rates  map[string]rates // by instance
}

// rates are what the reports of an instance say of its calls. Their times are
// those of the instance's own clock (Process.Uptime), so neither the page's
// sampling nor how long a report was on its way changes a rate.
type rates struct {
	calls, errors uint64        // in all, in the report that the next rate is counted from
	up            time.Duration // how long the instance had run at that report
	rate, failed  float64       // per second, between that report and the one before
	known         bool          // there were two reports
}

// next takes in a report.
func (r rates) next(report monitor.Report) rates {
	now := rates{up: report.Stats.Process.Uptime}
	for _, e := range report.Stats.Endpoints {
		if !e.Client {
			now.calls += e.Total.Calls
			now.errors += e.Total.Errors
		}
	}
	over := now.up - r.up
	switch {
	case r == rates{} && (now.up <= 0 || now.up > 3*report.Interval):
		return now // it ran before the page did: nobody knows how its calls are spread
	case over < 0 || now.calls < r.calls || now.errors < r.errors: // it was restarted
		return rates{}.next(report)
	case over == 0 || over < report.Interval/2: // the same report again, or one that a change of health brought soon after
		return r
	}
	now.rate, now.failed, now.known = float64(now.calls-r.calls)/over.Seconds(), float64(now.errors-r.errors)/over.Seconds(), true
	return now
}

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
			h = &history{rates: map[string]rates{}}
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

// add adds a point, unless it is not known yet how many calls there are.
func (h *history) add(now time.Time, v monitor.View) {
	p := Point{Time: now}
	present := map[string]rates{}
	var windows []monitor.Counts
	known, heard := false, false
	for _, m := range v.Members {
		if m.Presence != monitor.Present {
			continue
		}
		id := m.Status.Instance.ID
		r := h.rates[id].next(m.Report)
		present[id] = r
		p.Rate += r.rate
		p.Errors += r.failed
		heard, known = true, known || r.known
		for _, e := range m.Stats.Endpoints {
			if !e.Client {
				windows = append(windows, e.Window)
			}
		}
	}
	h.rates = present
	if heard && !known {
		return
	}
	p.P50, p.P95, p.P99 = quantile(windows, .5), quantile(windows, .95), quantile(windows, .99)
	h.points = append(h.points, p)
	if len(h.points) > samplesKept {
		h.points = h.points[1:]
	}
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
