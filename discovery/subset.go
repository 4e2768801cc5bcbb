package discovery

import (
	"cmp"
	"slices"
)

// Subset returns the snapshot with at most size of its instances: those that
// rank highest for this client by rendezvous hashing (Thaler and Ravishankar,
// 1998). Each client of a very large service then keeps connections to a few
// of its instances, every instance has about as many clients, and a change of
// one instance changes at most one member of a subset. client is anything that
// tells this process from the others, such as its own instance ID; the same
// client gets the same subset everywhere.
func (s Snapshot) Subset(client string, size int) Snapshot {
	size = max(size, 0)
	if size >= len(s.Instances) {
		return s
	}
	type ranked struct {
		at    int
		score uint64
	}
	order := make([]ranked, len(s.Instances))
	seed := hash(14695981039346656037, client)
	for i := range s.Instances {
		order[i] = ranked{i, mix(hash(seed, s.Instances[i].ID))}
	}
	slices.SortFunc(order, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.score, a.score), a.at-b.at) })
	chosen := order[:size]
	slices.SortFunc(chosen, func(a, b ranked) int { return a.at - b.at })
	confirmed := len(s.Instances) - s.Preserved
	out := make([]Instance, size)
	s.Preserved = 0
	for i, r := range chosen {
		out[i] = s.Instances[r.at]
		if r.at >= confirmed {
			s.Preserved++
		}
	}
	s.Instances = out
	return s
}

// hash is FNV-1a, with a separator so that "ab"+"c" isn't "a"+"bc".
func hash(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211
}

// mix spreads the bits, which FNV leaves alike for alike names (the finaliser
// of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
