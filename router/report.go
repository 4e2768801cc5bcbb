package router

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Report is what one client has seen of the instances of a service lately.
// Reports of different clients are added up by Combine.
type Report struct {
	Service string       `json:"service"`
	Client  string       `json:"client"` // who says so: one life of one process
	Seq     uint64       `json:"seq"`    // grows with each report of a client
	Nodes   []NodeReport `json:"nodes"`  // those that were called, or do badly
}

// NodeReport is what a client has seen of one instance.
type NodeReport struct {
	ID       string          `json:"id"`
	Outcomes [classes]uint64 `json:"outcomes"`          // by Class, since the report before
	Latency  Sketch          `json:"latency,omitempty"` // since then, too
	Success  float64         `json:"success"`           // moving average, 1 is all good
	InFlight int             `json:"inFlight,omitempty"`
	Ejected  bool            `json:"ejected,omitempty"` // by what the client saw itself, not by what others say
}

// calls returns how many calls speak about the instance.
func (n *NodeReport) calls() (all uint64) {
	for c := range classes {
		if c != Cancelled {
			all += min(n.Outcomes[c], 1<<40) // what is more is a lie, and must not overflow
		}
	}
	return all
}

// Sketch is a histogram of latencies: how many were in which bucket. Four
// buckets double the latency, from a microsecond on, so that a quantile is
// right within a tenth. Sketches are added bucket by bucket.
type Sketch map[int]uint64

// buckets is how many a Sketch has: up to over an hour.
const buckets = 128

// bucket is where a latency belongs.
func bucket(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 1))
	log := bits.Len64(us) - 1
	return min(4*log+int(us<<2>>log&3), buckets-1)
}

// middle is the latency that stands for a bucket.
func middle(b int) time.Duration {
	return time.Duration(float64(uint64(1)<<(b/4)) * (1 + (float64(b%4)+0.5)/4) * float64(time.Microsecond))
}

// Add counts a latency.
func (s Sketch) Add(d time.Duration) { s[bucket(d)]++ }

// Count is how many latencies were added.
func (s Sketch) Count() (n uint64) {
	for b, v := range s {
		if b >= 0 && b < buckets {
			n += min(v, 1<<40)
		}
	}
	return n
}

// Quantile returns the latency that a share of q of those added is at most;
// 0 if there are none.
func (s Sketch) Quantile(q float64) time.Duration {
	left := q * float64(s.Count())
	for b := range buckets {
		if v := min(s[b], 1<<40); v > 0 {
			left -= float64(v)
			if left <= 0 {
				return middle(b)
			}
		}
	}
	return 0
}

// sketch is a Sketch that is added to on the path of calls.
type sketch [buckets]atomic.Uint32

// take returns what was added, and begins again.
func (s *sketch) take() Sketch {
	var out Sketch
	for b := range s {
		if s[b].Load() == 0 {
			continue
		}
		if out == nil {
			out = Sketch{}
		}
		out[b] = uint64(s[b].Swap(0))
	}
	return out
}

// report is what was seen since the report before.
func (s *service) report(now time.Duration) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports++
	r := Report{Service: s.name, Client: s.o.share.client, Seq: s.reports}
	for _, n := range s.nodes {
		nr := NodeReport{ID: n.id, Success: n.learnt.observed.value(), InFlight: n.InFlight(), Ejected: n.out(now) && n.health.own.Load()}
		// Who fails is avoided: that it did must be said also when it isn't called.
		news := nr.Ejected || nr.Success < 0.95
		for c := range classes {
			v := n.learnt.outcomes[c].Load()
			nr.Outcomes[c], n.shared.before[c] = v-n.shared.before[c], v
			news = news || nr.Outcomes[c] > 0 && c != Cancelled
		}
		if news {
			nr.Latency = n.shared.sketch.take()
			r.Nodes = append(r.Nodes, nr)
		}
	}
	return r
}
