package cache

import (
	"slices"
	"testing"
	"time"
)

// TestRemovedEntriesLeaveTheirNeighbours: entries that end at the same time are
// one list. Whichever is taken out of it, the others end, and it does not.
func TestRemovedEntriesLeaveTheirNeighbours(t *testing.T) {
	const n = 4
	for removed := range 1 << n {
		for _, backwards := range []bool{false, true} {
			life := time.Second
			if backwards {
				life = time.Hour // of a higher level
			}
			w := &wheel[int]{}
			add := func(e *entry[int], end time.Duration) {
				e.life.set(int64(end), 0)
				w.add(e, int64(end))
			}
			entries := make([]*entry[int], n)
			for i := range entries {
				entries[i] = &entry[int]{item: &item[int]{}}
				add(entries[i], life)
			}
			var want []int
			for i := range entries {
				if backwards {
					i = n - 1 - i
				}
				if removed&(1<<i) != 0 {
					w.remove(entries[i])
				} else {
					want = append(want, i)
				}
			}
			slices.Sort(want)
			advance := func(to time.Duration) (ended []int) {
				w.advance(int64(to), func(e *entry[int]) { ended = append(ended, slices.Index(entries, e)) })
				slices.Sort(ended)
				return ended
			}
			if got := advance(life / 2); len(got) > 0 {
				t.Errorf("with %04b taken out, %v end at half their lives", removed, got)
			}
			if next := w.next(); (next != 0) != (len(want) > 0) {
				t.Errorf("with %04b taken out, there is something to do at %v", removed, time.Duration(next))
			}
			if got := advance(2 * life); !slices.Equal(got, want) {
				t.Errorf("with %04b taken out, %v end, want %v", removed, got, want)
			}
			add(entries[0], 3*life) // its place works again
			if got := advance(4 * life); !slices.Equal(got, []int{0}) {
				t.Errorf("with %04b taken out, %v end later, want the first", removed, got)
			}
		}
	}
}
