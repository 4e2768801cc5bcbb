package ring

import (
	"cmp"
	"math"
	"slices"
)

// partitions is how many parts the keys are cut into. A key's part never
// changes; the parts' owners do.
const partitions = 4096

// hash is FNV-1a with a finish (Appleby's, from MurmurHash3): the same in
// every process.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func partition(h uint64) uint16 { return uint16(h % partitions) }

// member is one instance that owns partitions.
type member struct {
	id     string
	weight int // 0 means 1
}

// table says who owns what. It is a function of the members alone: who knows
// the same members has the same table, and nobody has to hand one out.
type table struct {
	epoch  uint64               // names the set of members
	owners [partitions][]string // the first is the primary
	claims [partitions]uint64   // names the owners and their order
}

// place gives every partition to the members with the highest scores, by
// weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights as in
// Schindelhauer and Schomaker, 2005). A new member takes its share from all
// others, and nothing moves between them.
func place(members []member, replicas int) *table {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	t := &table{epoch: uint64(replicas)}
	hashes := make([]uint64, len(members))
	for i, m := range members {
		hashes[i] = hash(m.id)
		t.epoch = mix(t.epoch ^ hashes[i] ^ uint64(max(m.weight, 1)))
	}
	n := min(replicas, len(members))
	type scored struct {
		score float64
		at    int
	}
	best := make([]scored, 0, n+1)
	all := make([]string, partitions*n)
	for p := range t.owners {
		best = best[:0]
		for i, m := range members {
			u := (float64(mix(hashes[i]^mix(uint64(p)+1))>>11) + 0.5) / (1 << 53) // in (0, 1)
			s := scored{-float64(max(m.weight, 1)) / math.Log(u), i}
			at := len(best)
			for at > 0 && best[at-1].score < s.score {
				at--
			}
			if at < n {
				best = slices.Insert(best, at, s)
				best = best[:min(len(best), n)]
			}
		}
		owners := all[p*n : p*n+n : p*n+n]
		for i, b := range best {
			owners[i] = members[b.at].id
			t.claims[p] = mix(t.claims[p] ^ hashes[b.at])
		}
		t.owners[p] = owners
	}
	return t
}

func (t *table) owns(p uint16, id string) bool { return slices.Contains(t.owners[p], id) }
