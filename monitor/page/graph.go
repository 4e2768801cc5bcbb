package page

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/trace"
)

// Map is what api/map answers: who calls whom.
type Map struct {
	Nodes   []Node `json:"nodes"`             // by layer and row
	Edges   []Edge `json:"edges"`             // by caller and callee
	Dropped int    `json:"dropped,omitempty"` // services and calls over the bounds
	Problem string `json:"problem,omitempty"` // why traces are missing
}

// Node is a service, or what a service calls.
type Node struct {
	Name    string        `json:"name"`
	Verdict string        `json:"verdict,omitempty"` // of a service that reports; "" for what else is called
	Kind    string        `json:"kind"`              // service, store, messages or external
	Rate    float64       `json:"rate"`              // calls served per second, last minute
	Errors  float64       `json:"errors"`            // the share of them that failed
	P99     time.Duration `json:"p99"`
	Up      int           `json:"up,omitempty"` // instances that are healthy
	Of      int           `json:"of,omitempty"` // of so many
	Layer   int           `json:"layer"`        // callers stand in a lower one than those they call, unless they call each other
	Row     int           `json:"row"`          // among those of the layer
}

// Edge is the calls of one service to another.
type Edge struct {
	From     string        `json:"from"`
	To       string        `json:"to"`
	Rate     float64       `json:"rate"`   // calls per second of the last minute, as the caller reports; 0 if it reports none
	Errors   float64       `json:"errors"` // the share of them that failed
	P99      time.Duration `json:"p99"`
	Messages bool          `json:"messages,omitempty"` // records of a stream, not calls
	Sampled  int           `json:"sampled,omitempty"`  // known from so many spans alone: Errors and P99 are theirs
	Via      []int         `json:"via,omitempty"`      // the rows that it passes in the layers between the two
}

// Bounds of the map.
const (
	mostNodes   = 200
	mostEdges   = 1000
	tracesAsked = 200
	spansAsked  = 20_000
	tracesFor   = 5 * time.Second // a search serves all readers for so long
)

// graph collects the map.
type graph struct {
	nodes   map[string]*Node
	edges   map[[2]string]*calls
	dropped map[any]bool // what is over the bounds: the name of a service, or the two of a call
}

type calls struct {
	Edge
	windows  []monitor.Counts
	all, bad uint64
	spans    []time.Duration
	failed   int
}

func (g *graph) node(name, kind string) *Node {
	name = cut(name, momentName)
	n := g.nodes[name]
	switch {
	case n != nil:
		if kind == "service" || n.Kind == "external" {
			n.Kind = kind
		}
	case len(g.nodes) >= mostNodes:
		g.dropped[name] = true
	default:
		n = &Node{Name: name, Kind: kind}
		g.nodes[name] = n
	}
	return n
}

func (g *graph) edge(from, to *Node) *calls {
	if from == nil || to == nil {
		return nil
	}
	key := [2]string{from.Name, to.Name}
	c := g.edges[key]
	if c == nil {
		if len(g.edges) >= mostEdges {
			g.dropped[key] = true
			return nil
		}
		c = &calls{Edge: Edge{From: from.Name, To: to.Name}}
		g.edges[key] = c
	}
	return c
}

// reported takes in what the instances of a service report.
func (g *graph) reported(v monitor.View) {
	n := g.node(v.Service, "service")
	if n == nil {
		return
	}
	n.Verdict, n.Up = v.Verdict.String(), v.Pass+v.Warn
	n.Of = max(v.Expected, v.Pass+v.Warn+v.Fail+v.Unknown+v.Lost)
	var windows []monitor.Counts
	var calls, failed uint64
	for _, m := range v.Members {
		if m.Presence != monitor.Present {
			continue
		}
		for _, e := range m.Stats.Endpoints {
			switch {
			case !e.Client:
				n.Rate += e.Window.Rate()
				calls, failed, windows = calls+e.Window.Calls, failed+e.Window.Errors, append(windows, e.Window)
			case e.Service != "" && e.Window.Calls > 0:
				g.called(n, e)
			}
		}
	}
	n.Errors, n.P99 = part(failed, calls), quantile(windows, .99)
}

func (g *graph) called(from *Node, e monitor.EndpointStats) {
	kind := "external"
	if e.Service == "event" { // what wrapper/event calls the stream
		kind = "messages"
	}
	c := g.edge(from, g.node(e.Service, kind))
	if c == nil {
		return
	}
	c.Rate += e.Window.Rate()
	c.all, c.bad, c.windows = c.all+e.Window.Calls, c.bad+e.Window.Errors, append(c.windows, e.Window)
}

func part(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// result lays the map out.
func (g *graph) result() Map {
	m := Map{Nodes: []Node{}, Edges: []Edge{}, Dropped: len(g.dropped)}
	for _, n := range g.nodes {
		m.Nodes = append(m.Nodes, *n)
	}
	for _, c := range g.edges {
		if len(c.windows) > 0 {
			c.Errors, c.P99 = part(c.bad, c.all), quantile(c.windows, .99)
		} else {
			slices.Sort(c.spans)
			c.Sampled, c.Errors, c.P99 = len(c.spans), part(uint64(c.failed), uint64(len(c.spans))), c.spans[(len(c.spans)*99+99)/100-1]
		}
		m.Edges = append(m.Edges, c.Edge)
	}
	slices.SortFunc(m.Edges, func(a, b Edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	arrange(m.Nodes, m.Edges)
	return m
}

func (p *Page) graph(r *http.Request) (any, error) {
	g := &graph{nodes: map[string]*Node{}, edges: map[[2]string]*calls{}, dropped: map[any]bool{}}
	c := p.mo.Cluster()
	for _, service := range c.Services() {
		g.reported(c.View(service))
	}
	problem := ""
	if p.o.trace != nil {
		found, err := p.recent.get(r.Context(), p.askTraces)
		if err != nil && !errors.Is(err, trace.ErrUnsupported) {
			problem = err.Error()
		}
		g.traced(found)
	}
	m := g.result()
	m.Problem = problem
	return m, nil
}

// askTraces finds the newest traces. The old ones stay where that fails.
func (p *Page) askTraces(ctx context.Context, old []trace.Trace) ([]trace.Trace, error) {
	page, err := p.o.trace.Search(ctx, trace.Query{Limit: tracesAsked})
	if err != nil {
		return old, err
	}
	return page.Traces, nil
}
