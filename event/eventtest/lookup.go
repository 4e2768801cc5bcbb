package eventtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// lookUps compares look-ups by id and by root with what a filter over the whole
// history finds, before and after records were published and removed: a backend
// may have an index for them.
func lookUps(t *testing.T, b *bench) {
	s := b.open(t)
	n := 0
	more := func(count int) {
		t.Helper()
		rs := make([]*event.Record, count)
		for i := range rs {
			n++
			rs[i] = &event.Record{ID: fmt.Sprint("id", n), RootID: fmt.Sprint("root", n%7), Type: "t", Subject: fmt.Sprint(n)}
			if n%11 == 0 {
				rs[i].Type = "dead.t"
			}
			if n%100 == 0 {
				rs[i].RootID = rs[i].ID
			}
		}
		publish(t, s, rs...)
	}
	compare := func(when string) {
		t.Helper()
		everything := all(t, s, event.Types("**", "dead.**"))
		half := len(everything) / 2
		middle := everything[half]
		for _, root := range []string{"root0", "root3", "root7", "id100"} { // of many, of none, of one
			of := func(rs []*event.Record) (found []string) {
				for _, r := range rs {
					if r.RootID == root {
						found = append(found, r.Subject)
					}
				}
				return found
			}
			forward, before, after := of(everything), of(everything[:half]), of(everything[half+1:])
			back := slices.Clone(forward)
			slices.Reverse(back)
			slices.Reverse(before)
			for _, c := range []struct {
				name string
				want []string
				opts []event.QueryOption
			}{
				{"forward", forward, nil},
				{"backward", back, []event.QueryOption{event.Reverse()}},
				{"the first three", forward[:min(3, len(forward))], []event.QueryOption{event.Limit(3)}},
				{"the last three", back[:min(3, len(back))], []event.QueryOption{event.Limit(3), event.Reverse()}},
				{"after the middle", after, []event.QueryOption{event.From(event.After(middle.Position))}},
				{"before the middle", before, []event.QueryOption{event.From(event.After(middle.Position)), event.Reverse()}},
			} {
				if got := subjects(all(t, s, append(c.opts, event.Root(root))...)); !slices.Equal(got, c.want) {
					t.Fatalf("%s: %s %s: found %v, want %v", when, root, c.name, got, c.want)
				}
			}
		}
		kept := map[string]bool{}
		for _, r := range everything {
			kept[r.ID] = true
		}
		for i := 1; i <= n+1; i += 97 {
			id := fmt.Sprint("id", i)
			if found := all(t, s, event.ID(id)); (len(found) == 1) != kept[id] || len(found) == 1 && found[0].ID != id {
				t.Fatalf("%s: %s is found %d times; kept is %v", when, id, len(found), kept[id])
			}
		}
	}
	more(300)
	compare("at first")
	more(300)
	compare("after more were published")
	if fs := s.Features(); !fs.Retention || !fs.Durable {
		return
	}
	shut(t, s)
	trimming := b.open(t, event.WithRetention(event.Retention{Count: 100}), event.WithRetentionEvery(5*time.Millisecond))
	eventually(t, "old records go", func() bool { return len(all(t, trimming)) <= 200 }) // a backend may trim in blocks
	shut(t, trimming)
	s = b.open(t)
	compare("after some were removed")
	more(300)
	compare("after more were published again")
}
