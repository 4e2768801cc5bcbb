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

// A life is over at its end, and not a moment before.
func TestALifeEndsWithItsTick(t *testing.T) {
	for _, end := range []int64{1, 63, 64, 65, 64*64 - 1, 64 * 64, 3*64*64 + 5} {
		end := end << tickBits
		w := &wheel[int]{}
		e := &entry[int]{item: &item[int]{}}
		e.life.set(end, 0)
		w.add(e, end)
		ended := 0
		for n := 0; w.next() != 0 && w.next() < end; n++ {
			w.advance(w.next(), func(*entry[int]) { ended++ })
			if n > levels {
				t.Fatalf("%d: looked at %d times before", end>>tickBits, n)
			}
		}
		w.advance(end-1, func(*entry[int]) { ended++ })
		if ended != 0 {
			t.Errorf("%d: ended before", end>>tickBits)
		}
		w.advance(end, func(*entry[int]) { ended++ })
		if ended != 1 || w.next() != 0 {
			t.Errorf("%d: ended %d times, next at %d", end>>tickBits, ended, w.next())
		}
	}
}
