package event_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/micro/go-platform/event"
)

// Look-ups by id and root against a plain filter over the whole history, while
// records are published and trimmed.
func TestLookUpsFindWhatAScanFinds(t *testing.T) {
	s := open(t, event.WithRetention(event.Retention{Count: 1000}))
	find := func(opts ...event.QueryOption) (ids []string) {
		for r, err := range s.Query(t.Context(), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID)
		}
		return ids
	}
	n := 0
	for round := range 6 {
		for range 700 {
			n++
			r := &event.Record{ID: fmt.Sprint("id", n%1500), RootID: fmt.Sprint("root", n%7), Type: "t"}
			if n%11 == 0 {
				r.Type = "dead.t"
			}
			if err := s.Publish(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		roots, byID := map[string][]string{}, map[string]int{}
		for r := range s.Query(t.Context(), event.Types("**", "dead.**")) {
			roots[r.RootID] = append(roots[r.RootID], r.ID)
			byID[r.ID]++
		}
		for i := range 8 {
			root := fmt.Sprint("root", i)
			got := find(event.Root(root))
			if !slices.Equal(got, roots[root]) {
				t.Fatalf("round %d: %s has %d records by look-up, %d by scan", round, root, len(got), len(roots[root]))
			}
			back := find(event.Root(root), event.Reverse())
			slices.Reverse(back)
			if !slices.Equal(back, got) {
				t.Fatalf("round %d: %s backward has %d records, forward %d", round, root, len(back), len(got))
			}
			if limited := find(event.Root(root), event.Limit(3)); !slices.Equal(limited, got[:min(3, len(got))]) {
				t.Fatalf("round %d: the first of %s are %v", round, root, limited)
			}
		}
		for i := range 1500 {
			id := fmt.Sprint("id", i)
			if got := find(event.ID(id)); len(got) != min(byID[id], 1) {
				t.Fatalf("round %d: %s is found %d times, a scan finds %d", round, id, len(got), byID[id])
			}
		}
	}
}
