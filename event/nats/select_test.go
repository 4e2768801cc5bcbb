package nats_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
)

// A query for a type used to be sent the whole stream. Records of a type are
// rare, dense and at both ends here, so that pages and the windows of reverse
// queries end everywhere.
func TestQueriesAreSentOnlyTheirTypes(t *testing.T) {
	leak.Check(t)
	nc, s := counted(t)
	const n = 5000
	rare := []int{0, 1, 511, 512, 513, 1535, 1536, 3000, n - 1}
	var everything []*event.Record
	for i := range n {
		typ := "common"
		switch {
		case slices.Contains(rare, i):
			typ = "some.rare"
		case i >= 1600 && i < 2900:
			typ = "some.dense"
		case i%50 == 0:
			typ = "some.now and then"
		}
		everything = append(everything, &event.Record{Type: typ, Subject: fmt.Sprint(i), RootID: fmt.Sprint(i % 3), Data: make([]byte, 200)})
	}
	for part := range slices.Chunk(everything, 500) {
		if err := s.Publish(t.Context(), part...); err != nil {
			t.Fatal(err)
		}
	}
	query := func(opts ...event.QueryOption) (list []string, position string) {
		t.Helper()
		for r, err := range s.Query(t.Context(), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			list, position = append(list, r.Subject), r.Position
		}
		return list, position
	}
	_, middle := query(event.Limit(2500))
	for _, c := range []struct {
		name  string
		types []string
		match func(typ string) bool
	}{
		{"rare", []string{"some.rare"}, func(typ string) bool { return typ == "some.rare" }},
		{"dense", []string{"some.dense"}, func(typ string) bool { return typ == "some.dense" }},
		{"spaces", []string{"some.now and then"}, func(typ string) bool { return typ == "some.now and then" }},
		{"pattern", []string{"some.*"}, func(typ string) bool { return typ != "common" }},
		{"two", []string{"some.rare", "common"}, func(typ string) bool { return typ == "some.rare" || typ == "common" }},
		{"none", []string{"none"}, func(string) bool { return false }},
	} {
		for _, way := range []struct {
			name       string
			opts       []event.QueryOption
			from, to   int
			back, root bool
			limit      int
		}{
			{name: "forward", to: n},
			{name: "backward", to: n, back: true, opts: []event.QueryOption{event.Reverse()}},
			{name: "after the middle", from: 2500, to: n, opts: []event.QueryOption{event.From(event.After(middle))}},
			{name: "before the middle", to: 2499, back: true, opts: []event.QueryOption{event.From(event.After(middle)), event.Reverse()}},
			{name: "of a root", to: n, root: true, opts: []event.QueryOption{event.Root("1")}},
			{name: "the last five", to: n, back: true, limit: 5, opts: []event.QueryOption{event.Reverse(), event.Limit(5)}},
			{name: "the first five", to: n, limit: 5, opts: []event.QueryOption{event.Limit(5)}},
		} {
			var want []string
			for i := way.from; i < way.to; i++ {
				if c.match(everything[i].Type) && (!way.root || i%3 == 1) {
					want = append(want, fmt.Sprint(i))
				}
			}
			if way.back {
				slices.Reverse(want)
			}
			if way.limit > 0 {
				want = want[:min(len(want), way.limit)]
			}
			before := nc.Stats().InBytes
			got, _ := query(append(way.opts, event.Types(c.types...))...)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: %d records %.100v, want %d: %.100v", c.name, way.name, len(got), got, len(want), want)
			}
			if bytes := nc.Stats().InBytes - before; c.name == "rare" && bytes > 200_000 { // the stream has two million
				t.Errorf("%s, %s: the server sent %d bytes", c.name, way.name, bytes)
			}
		}
	}
}
