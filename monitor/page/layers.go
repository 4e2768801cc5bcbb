package page

import (
	"cmp"
	"slices"
)

// arrange gives each node a layer and a row and sorts the nodes by them, after
// Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical
// system structures" (1981): cycles are cut where they come back, a node stands
// one layer below the lowest of its callers, and rows follow the middle of a
// node's neighbours. A call that passes by layers gets a place in each of them
// (Edge.Via), so that it need not cross a node.
func arrange(nodes []Node, edges []Edge) {
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	index := make(map[string]int, len(nodes))
	for i, n := range nodes {
		index[n.Name] = i
	}
	l := layout{calls: make([][]int, len(nodes)), layer: make([]int, len(nodes))}
	for _, e := range edges {
		if from, to := index[e.From], index[e.To]; from != to {
			l.calls[from] = append(l.calls[from], to)
		}
	}
	l.cut(nodes)
	l.stack()
	places := l.pass(edges, index)
	l.fill()
	l.order()
	for i, chain := range places {
		for _, n := range chain {
			edges[i].Via = append(edges[i].Via, l.row[n])
		}
	}
	for i := range nodes {
		nodes[i].Layer, nodes[i].Row = l.layer[i], l.row[i]
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Row, b.Row)) })
}

type layout struct {
	calls, callers [][]int // without the calls that close a cycle
	layer, row     []int
	layers         [][]int
	topological    []int
}

// cut removes the calls that come back to a caller, beginning at services that
// nobody calls.
func (l *layout) cut(nodes []Node) {
	called := make([]bool, len(nodes))
	for _, to := range l.calls {
		for _, n := range to {
			called[n] = true
		}
	}
	state := make([]int, len(nodes)) // 1: on the path, 2: done
	kept := make([][]int, len(nodes))
	var walk func(n int)
	walk = func(n int) {
		state[n] = 1
		for _, to := range l.calls[n] {
			if state[to] == 1 {
				continue
			}
			kept[n] = append(kept[n], to)
			if state[to] == 0 {
				walk(to)
			}
		}
		state[n] = 2
		l.topological = append(l.topological, n)
	}
	for _, roots := range []bool{true, false} {
		for n := range nodes {
			if state[n] == 0 && called[n] != roots {
				walk(n)
			}
		}
	}
	slices.Reverse(l.topological)
	l.calls = kept
}

// stack finds the layers.
func (l *layout) stack() {
	for _, n := range l.topological {
		for _, to := range l.calls[n] {
			l.layer[to] = max(l.layer[to], l.layer[n]+1)
		}
	}
}

// pass puts places into the layers that calls pass by, and returns them by edge.
func (l *layout) pass(edges []Edge, index map[string]int) map[int][]int {
	places, all := map[int][]int{}, 0
	for i, e := range edges {
		from, to := index[e.From], index[e.To]
		between := l.layer[to] - l.layer[from] - 1
		if between < 1 || all+between > mostPlaces {
			continue
		}
		all += between
		l.calls[from] = slices.DeleteFunc(l.calls[from], func(n int) bool { return n == to })
		last := from
		for layer := l.layer[from] + 1; layer < l.layer[to]; layer++ {
			place := len(l.layer)
			l.layer, l.calls = append(l.layer, layer), append(l.calls, nil)
			l.calls[last] = append(l.calls[last], place)
			places[i], last = append(places[i], place), place
		}
		l.calls[last] = append(l.calls[last], to)
	}
	return places
}

// mostPlaces bounds the places of pass; calls beyond go straight.
const mostPlaces = 400

// fill sorts nodes and places into layers.
func (l *layout) fill() {
	l.callers = make([][]int, len(l.calls))
	for from, list := range l.calls {
		for _, to := range list {
			l.callers[to] = append(l.callers[to], from)
		}
	}
	for n := range l.layer {
		for len(l.layers) <= l.layer[n] {
			l.layers = append(l.layers, nil)
		}
		l.layers[l.layer[n]] = append(l.layers[l.layer[n]], n)
	}
	l.row = make([]int, len(l.layer))
}

const sweeps = 8 // there and back; later ones change little

// order finds the rows.
func (l *layout) order() {
	l.number()
	for s := range sweeps {
		neighbours := l.callers
		if s%2 == 1 {
			neighbours = l.calls
		}
		for i := range l.layers {
			layer := l.layers[i]
			if s%2 == 1 {
				layer = l.layers[len(l.layers)-1-i]
			}
			slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(l.middle(a, neighbours), l.middle(b, neighbours)) })
			for row, n := range layer {
				l.row[n] = row
			}
		}
	}
}

func (l *layout) number() {
	for _, layer := range l.layers {
		for row, n := range layer {
			l.row[n] = row
		}
	}
}

// middle is where a node's neighbours are, as a share of their layers; where it
// stands itself if it has none.
func (l *layout) middle(n int, neighbours [][]int) float64 {
	of := func(n int) float64 { return (float64(l.row[n]) + .5) / float64(len(l.layers[l.layer[n]])) }
	if len(neighbours[n]) == 0 {
		return of(n)
	}
	sum := 0.0
	for _, m := range neighbours[n] {
		sum += of(m)
	}
	return sum / float64(len(neighbours[n]))
}
