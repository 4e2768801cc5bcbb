package router

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// View is what the reports of all clients of a service come to.
type View struct {
	Service string              `json:"service"`
	By      string              `json:"by,omitempty"`  // who combined it; "" if it was not published
	Seq     uint64              `json:"seq,omitempty"` // grows with each view of the same By
	Clients int                 `json:"clients"`       // that reported
	Nodes   map[string]NodeView `json:"nodes"`         // by the instance's id
}

// NodeView is what all clients together have seen of one instance.
type NodeView struct {
	Weight  float64 `json:"weight"`  // what its weight should be multiplied with, by its failures: from 0.25 to 1
	Slower  float64 `json:"slower"`  // its median latency in those of the other instances: from 0.25 to 4
	Clients int     `json:"clients"` // that called it
	Votes   int     `json:"votes"`   // of them, that have ejected it by what they saw themselves
	Calls   uint64  `json:"calls"`
	// InFlight is how many calls the clients have in progress there.
	InFlight float64       `json:"inFlight,omitempty"`
	Success  float64       `json:"success"` // mean of what the clients say
	P50      time.Duration `json:"p50"`
	P99      time.Duration `json:"p99"`
}

// maxInFlight is how many calls one client is believed to have in progress at
// an instance.
const maxInFlight = 10_000

// most is what a view can divide a weight by, and multiply or divide a latency.
const most = 4.0

// bounded is v within what a view may do; what is no number does nothing.
func bounded(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	return min(max(v, 1/most), most)
}

// lowered is bounded for a weight, which a view can only lower: what is praised
// gains by what others lose.
func lowered(v float64) float64 { return min(bounded(v), 1) }

// evidence is what is added up about one instance.
type evidence struct {
	nodes   []*NodeReport // one of each client
	latency [buckets]float64
	sum     NodeView
}

// Combine adds up reports, of each client the newest. It is a pure function:
// the same reports in any order come to the same view. In what fails every
// client of an instance has one voice; in what is slow none counts for more
// than four times as many calls as the median client made. So one that is
// wrong, or lies, moves little where many report.
func Combine(service string, reports []Report) View {
	newest := map[string]*Report{}
	for i := range reports {
		if r := &reports[i]; r.Service == service && (newest[r.Client] == nil || newest[r.Client].Seq < r.Seq) {
			newest[r.Client] = r
		}
	}
	clients := make([]*Report, 0, len(newest))
	for _, r := range newest {
		clients = append(clients, r)
	}
	slices.SortFunc(clients, func(a, b *Report) int { return cmp.Compare(a.Client, b.Client) })
	all := map[string]*evidence{}
	for _, r := range clients {
		seen := map[string]bool{}
		for i := range r.Nodes {
			n := &r.Nodes[i]
			if seen[n.ID] { // once for each client
				continue
			}
			seen[n.ID] = true
			if all[n.ID] == nil {
				all[n.ID] = &evidence{}
			}
			all[n.ID].nodes = append(all[n.ID].nodes, n)
		}
	}
	v := View{Service: service, Clients: len(clients), Nodes: make(map[string]NodeView, len(all))}
	var latencies []float64
	for _, e := range all {
		e.add()
		if e.sum.P50 > 0 {
			latencies = append(latencies, float64(e.sum.P50))
		}
	}
	latency := median(latencies)
	for id, e := range all {
		e.sum.Weight, e.sum.Slower = max(e.sum.Success*e.sum.Success, 1/most), 1
		if e.sum.P50 > 0 && latency > 0 {
			e.sum.Slower = bounded(float64(e.sum.P50) / latency)
		}
		v.Nodes[id] = e.sum
	}
	return v
}

// add adds up what the clients saw of one instance.
func (e *evidence) add() {
	var calls []float64
	for _, n := range e.nodes {
		if k := n.calls(); k > 0 {
			calls = append(calls, float64(k))
		}
	}
	limit, success := max(4*median(calls), 10), 0.0
	for _, n := range e.nodes {
		k := n.calls()
		e.sum.Clients++
		e.sum.Calls += k
		e.sum.InFlight += float64(min(max(n.InFlight, 0), maxInFlight))
		if n.Ejected {
			e.sum.Votes++
		}
		if n.Success >= 0 { // and a number
			success += min(n.Success, 1)
		} else {
			success++
		}
		if count := float64(n.Latency.Count()); count > 0 {
			part := min(1, limit/count)
			for b, c := range n.Latency {
				if b >= 0 && b < buckets {
					e.latency[b] += part * float64(min(c, 1<<40))
				}
			}
		}
	}
	e.sum.Success = success / float64(e.sum.Clients)
	e.sum.P50, e.sum.P99 = e.quantile(0.5), e.quantile(0.99)
}

func (e *evidence) quantile(q float64) time.Duration {
	left := 0.0
	for _, c := range e.latency {
		left += q * c
	}
	for b, c := range e.latency {
		left -= c
		if c > 0 && left <= 1e-9 {
			return middle(b)
		}
	}
	return 0
}

// median is the lower one of an even number, and 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[(len(v)-1)/2]
}

// ejects reports whether enough clients have ejected the instance for others
// to do so too: a quarter of those that called it.
func (n NodeView) ejects() bool { return n.Votes > 0 && n.Votes <= n.Clients && 4*n.Votes >= n.Clients }
