package event

import (
	"fmt"
	"hash/fnv"
	"slices"
)

// partOf is the part that a key belongs to, in every process.
func partOf(key string, of int) int {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int(h.Sum64() % uint64(of))
}

// shareOf returns the parts of one of the members. All members that know of the
// same ones come to the same result: none has two parts more than another, and few
// parts move when one comes or goes (rendezvous hashing).
func shareOf(members []string, me string, parts int) []int {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	base, extra := parts/len(members), parts%len(members)
	load := map[string]int{}
	var mine []int
	for p := range parts {
		var best string
		var top uint64
		for _, m := range members {
			if load[m] > base || load[m] == base && extra == 0 {
				continue
			}
			h := fnv.New64a()
			fmt.Fprintf(h, "%d %s", p, m)
			if w := mix(h.Sum64()); best == "" || w > top {
				best, top = m, w
			}
		}
		if load[best] == base {
			extra--
		}
		load[best]++
		if best == me {
			mine = append(mine, p)
		}
	}
	return mine
}

// mix spreads the bits of a hash whose last bytes differ little (SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
