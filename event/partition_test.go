package event

import (
	"fmt"
	"testing"
)

func TestPartsAreSharedEvenlyAndFewMove(t *testing.T) {
	for members := 1; members <= 9; members++ {
		for _, parts := range []int{2, 7, 16, 64} {
			var names []string
			for i := range members {
				names = append(names, fmt.Sprint("10-", i))
			}
			owner := func(names []string) map[int]string {
				out := map[int]string{}
				for _, me := range names {
					n := 0
					for _, p := range shareOf(names, me, parts) {
						if out[p] != "" {
							t.Fatalf("%d members, %d parts: %d has two owners", members, parts, p)
						}
						out[p] = me
						n++
					}
					if n < parts/len(names) || n > (parts+len(names)-1)/len(names) {
						t.Errorf("%d members, %d parts: one has %d", len(names), parts, n)
					}
				}
				if len(out) != parts {
					t.Errorf("%d members, %d parts: %d have an owner", len(names), parts, len(out))
				}
				return out
			}
			before, moved := owner(names), 0
			for p, who := range owner(append(names, "new")) {
				if who != before[p] {
					moved++
				}
			}
			if limit := parts/(members+1) + parts/2 + 2; moved > limit {
				t.Errorf("%d members, %d parts: %d moved when one came, want %d at the most", members, parts, moved, limit)
			}
		}
	}
}

func TestNamesOfPartsAreReadBack(t *testing.T) {
	for name, want := range map[string]int{"g [1/4]": 4, "g [4/4]": 4, "g [5/4]": 0, "g [0/4]": 0, "g [01/4]": 0, "g [1/4": 0, " [1/4]": 0, "g": 0, "a [1/2] [2/3]": 3} {
		group, of := wholeGroup(name)
		if of != want || of > 0 && partGroup(group, 0, of)[:len(group)] != group || of == 0 && group != name {
			t.Errorf("%q is %q of %d, want %d", name, group, of, want)
		}
	}
}
