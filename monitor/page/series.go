package page

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/micro/go-platform/monitor"
)

// Point is one sample of a service, or what several samples come to.
type Point struct {
	Time   time.Time     `json:"t"`
	Rate   float64       `json:"rate"`   // calls served per second
	Errors float64       `json:"errors"` // of which failed, per second
	P50    time.Duration `json:"p50"`    // of the last minute, estimated from the instances'; 0: no calls
	P95    time.Duration `json:"p95"`
	P99    time.Duration `json:"p99"`
}

// Series is what api/series answers.
type Series struct {
	Step     time.Duration      `json:"step"` // between two points
	Services map[string][]Point `json:"services"`
}

// History says how far back api/series reaches.
type History struct {
	Since time.Time     `json:"since"` // when the page began to watch
	Kept  time.Duration `json:"kept"`  // how long samples are kept, with as many services as there are
	Bytes int           `json:"bytes"` // what they take now, about
	Limit int           `json:"limit"` // the bound of WithHistory
}

// series keeps the samples of every service, within a bound.
type series struct {
	limit int // bytes
	began time.Time

	mu        sync.Mutex
	byService map[string]*history
}

type history struct {
	tiers [len(tiers)]tier
	rates map[string]rates // by instance
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

func (s *series) sample(now time.Time, views []monitor.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[string]bool{}
	for _, v := range views {
		known[v.Service] = true
		if s.byService[v.Service] == nil {
			s.byService[v.Service] = &history{rates: map[string]rates{}}
		}
	}
	maps.DeleteFunc(s.byService, func(service string, _ *history) bool { return !known[service] })
	keep := lengths(s.limit, len(s.byService))
	for _, v := range views {
		s.byService[v.Service].add(now, v, keep)
	}
}

// add adds a point, unless it is not known yet how many calls there are.
func (h *history) add(now time.Time, v monitor.View, keep [len(tiers)]int) {
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
	for i := range h.tiers {
		h.tiers[i].add(p, tiers[i].every, keep[i])
	}
}

// since returns copies of the points that are younger than over and later than
// after; of one service, or of all if it is "".
func (s *series) since(service string, over time.Duration, after time.Time) Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := covering(over, lengths(s.limit, len(s.byService)))
	out := Series{Step: max(tiers[i].every, over/mostPoints), Services: map[string][]Point{}}
	begin := time.Now().Add(-over)
	if after.After(begin) {
		begin = after
	}
	for name, h := range s.byService {
		if service == "" || name == service {
			out.Services[name] = thin(h.tiers[i].after(begin), out.Step)
		}
	}
	return out
}

// kept says how far back the samples reach.
func (s *series) kept() History {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := History{Since: s.began, Limit: s.limit}
	for _, h := range s.byService {
		for _, t := range h.tiers {
			out.Bytes += len(t.points) * pointBytes
		}
	}
	for i, n := range lengths(s.limit, len(s.byService)) {
		out.Kept = max(out.Kept, time.Duration(n)*tiers[i].every)
	}
	return out
}

// longestOver bounds what a reader may ask for.
const longestOver = 31 * 24 * time.Hour

func (p *Page) history(r *http.Request) (any, error) {
	v := r.URL.Query()
	over := fineFor
	if s := v.Get("over"); s != "" {
		var err error
		over, err = time.ParseDuration(s)
		if err != nil || over < sampleEvery || over > longestOver {
			return nil, &badRequest{fmt.Errorf("over %q, want %v to %v", s, sampleEvery, longestOver)}
		}
	}
	var after time.Time
	if s := v.Get("since"); s != "" {
		if err := after.UnmarshalText([]byte(s)); err != nil {
			return nil, &badRequest{fmt.Errorf("since %q, want the time of a point", s)}
		}
	}
	return p.series.since(v.Get("service"), over, after), nil
}
