package page

import (
	"fmt"
	"time"

	"github.com/micro/go-platform/router"
)

// ejections finds out what a router did between two samples.
type ejections struct {
	line  *timeline
	nodes map[[2]string]tripped // by service and instance
}

type tripped struct {
	out              bool
	ejections, trips uint64
}

func (e *ejections) look(now time.Time, r router.Router) {
	next := map[[2]string]tripped{}
	for _, service := range r.Services() {
		for _, c := range r.Explain(service).Nodes {
			key := [2]string{service, c.ID}
			t := tripped{c.Ejected, c.Ejections, c.Trips}
			before, known := e.nodes[key]
			next[key] = t
			for _, m := range t.since(before, known, c) {
				m.Time, m.Kind, m.Service, m.Instance = now, kindEjection, service, c.ID
				e.line.add(m)
			}
		}
	}
	e.nodes = next
}

// since says what happened to a node.
func (t tripped) since(before tripped, known bool, c router.Candidate) (out []Moment) {
	switch {
	case t.out && (!before.out || t.ejections > before.ejections):
		out = append(out, Moment{State: "fail", Text: "taken out of rotation: " + c.Reason})
	case !t.out && t.ejections > before.ejections && known:
		out = append(out, Moment{State: "warn", Text: "was out of rotation for a moment"})
	case !t.out && before.out:
		out = append(out, Moment{State: "pass", Text: "back in rotation"})
	}
	if t.trips > before.trips && known {
		text := "a circuit breaker opened"
		if c.Breaker == router.Open {
			text = "the circuit breaker opened"
		}
		out = append(out, Moment{State: "fail", Text: text + more(t.trips-before.trips)})
	}
	return out
}

func more(n uint64) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(", %d times", n)
}
