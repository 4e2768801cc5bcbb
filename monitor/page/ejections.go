package page

import (
	"fmt"
	"time"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
)

// ejections finds out what a router did between two samples.
type ejections struct {
	line  *timeline
	self  func() monitor.Instance // whose router it is: others may choose otherwise
	nodes map[[2]string]tripped   // by service and instance
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
			for _, m := range t.since(before, known, c, e.self) {
				m.Time, m.Kind, m.Service, m.Instance = now, kindEjection, service, c.ID
				e.line.add(m)
			}
		}
	}
	e.nodes = next
}

// since says what the router of self did with a node.
func (t tripped) since(before tripped, known bool, c router.Candidate, self func() monitor.Instance) (out []Moment) {
	if t == before {
		return nil
	}
	by := self().Service + "/" + self().ID
	switch {
	case t.out && (!before.out || t.ejections > before.ejections):
		out = append(out, Moment{State: "fail", Text: "taken out of rotation by " + by + ": " + c.Reason})
	case !t.out && t.ejections > before.ejections && known:
		out = append(out, Moment{State: "warn", Text: "taken out of rotation by " + by + " for a moment"})
	case !t.out && before.out:
		out = append(out, Moment{State: "pass", Text: "back in rotation at " + by})
	}
	if t.trips > before.trips && known {
		text := "a circuit breaker opened at " + by
		if c.Breaker == router.Open {
			text = "the circuit breaker opened at " + by
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
