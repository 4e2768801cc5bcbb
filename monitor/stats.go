package monitor

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are the numbers of one process.
type Stats struct {
	Process   Process         `json:"process"`
	Endpoints []EndpointStats `json:"endpoints,omitempty"` // servers first, then by service and method
	Dropped   uint64          `json:"dropped,omitempty"`   // observations counted under "_other": there are 1000 endpoints at most
}

// EndpointStats are the calls of one endpoint.
type EndpointStats struct {
	Endpoint
	InFlight int64  `json:"inFlight"` // calls between Enter and leave
	Total    Counts `json:"total"`    // since the start
	Window   Counts `json:"window"`   // the last minute
}

// Counts sums up calls. The quantiles are at most 10 % too large.
type Counts struct {
	Calls  uint64        `json:"calls"`
	Errors uint64        `json:"errors"` // calls whose error was not nil
	Over   time.Duration `json:"over"`   // the time that it covers
	Sum    time.Duration `json:"sum"`    // of the durations
	P50    time.Duration `json:"p50"`
	P95    time.Duration `json:"p95"`
	P99    time.Duration `json:"p99"`
	Max    time.Duration `json:"max"`
}

// Rate returns calls per second.
func (c Counts) Rate() float64 {
	if c.Over <= 0 {
		return 0
	}
	return float64(c.Calls) / c.Over.Seconds()
}

// A window is a ring of slots. A slot is reused, after it was emptied, when
// its time comes round again.
const (
	windowSlots = 6
	slotLength  = 10 * time.Second
)

// recorder counts the calls of all endpoints.
type recorder struct {
	start     time.Time
	max       int
	mu        sync.Mutex                             // held while the map is replaced
	endpoints atomic.Pointer[map[Endpoint]*endpoint] // copied on growth, so that reading is a plain look-up
	dropped   atomic.Uint64
}

// maxEndpoints bounds how many endpoints Observe tells apart: calls of further ones
// are counted together under the method "_other".
const maxEndpoints = 1000

func newRecorder(max int) *recorder {
	r := &recorder{start: time.Now(), max: max}
	r.endpoints.Store(&map[Endpoint]*endpoint{})
	return r
}

type endpoint struct {
	inFlight atomic.Int64
	total    histogram
	slots    [windowSlots]slot
}

type slot struct {
	period atomic.Int64 // the period that the counts belong to, from 1
	mu     sync.Mutex   // held while a slot changes its period
	hist   histogram
}

func (r *recorder) endpoint(e Endpoint) *endpoint {
	if ep := (*r.endpoints.Load())[e]; ep != nil {
		return ep
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.endpoints.Load()
	if ep := known[e]; ep != nil {
		return ep
	}
	if len(known) >= r.max {
		r.dropped.Add(1)
		e = Endpoint{Client: e.Client, Method: "_other"}
		if ep := known[e]; ep != nil {
			return ep
		}
	}
	grown := maps.Clone(known)
	ep := &endpoint{}
	grown[e] = ep
	r.endpoints.Store(&grown)
	return ep
}

func (r *recorder) observe(e Endpoint, d time.Duration, err error) {
	ep := r.endpoint(e)
	// A caller that gave up says nothing about the endpoint's health.
	failed := err != nil && !errors.Is(err, context.Canceled)
	ep.total.add(d, failed)
	period := int64(time.Since(r.start)/slotLength) + 1
	s := &ep.slots[period%windowSlots]
	if s.period.Load() != period {
		s.turn(period)
	}
	s.hist.add(d, failed)
}

// turn empties the slot for a new period. An observation of the old period
// that comes at the same moment may be counted in the new one.
func (s *slot) turn(period int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.period.Load() < period {
		s.hist.reset()
		s.period.Store(period)
	}
}

func (r *recorder) enter(e Endpoint) func() {
	ep := r.endpoint(e)
	ep.inFlight.Add(1)
	var once atomic.Bool
	return func() {
		if !once.Swap(true) {
			ep.inFlight.Add(-1)
		}
	}
}

func (r *recorder) stats() ([]EndpointStats, uint64) {
	var out []EndpointStats
	age := time.Since(r.start)
	period := int64(age/slotLength) + 1
	for e, ep := range *r.endpoints.Load() {
		var total, window distribution
		total.add(&ep.total)
		for i := range ep.slots {
			if p := ep.slots[i].period.Load(); p > period-windowSlots {
				window.add(&ep.slots[i].hist)
			}
		}
		over := min(age, age%slotLength+(windowSlots-1)*slotLength)
		out = append(out, EndpointStats{
			Endpoint: e, InFlight: ep.inFlight.Load(), Total: total.counts(age), Window: window.counts(over),
		})
	}
	slices.SortFunc(out, func(a, b EndpointStats) int {
		if a.Client != b.Client {
			if b.Client {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Method, b.Method))
	})
	return out, r.dropped.Load()
}
