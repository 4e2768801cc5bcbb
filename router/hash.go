package router

// Hash sends equal keys to the same node as long as the nodes are the same, and
// moves about 1/n of them when one comes or goes (rendezvous hashing, Thaler
// and Ravishankar, 1996). A node never gets more than bound times its even
// share of the calls in flight (Mirrokni, Thorup and Zadimoghaddam, Consistent
// Hashing with Bounded Loads, 2016); 1.25 is usual, 0 is no bound. Calls
// without a key go to a random node.
func Hash(bound float64) Strategy {
	return plain{"hash", func() Chooser { return hashing{bound} }}
}

type hashing struct{ bound float64 }

func (s hashing) Choose(r *Request, nodes []*Node) int {
	if !r.HasKey {
		return another(r, nodes)
	}
	limit := 0.0
	if s.bound > 0 {
		total, n := 1, 0
		for _, node := range nodes {
			if r.Usable(node) {
				total += node.InFlight()
				n++
			}
		}
		limit = s.bound * float64(total) / float64(max(n, 1))
	}
	best, full := -1, -1
	var bestScore, fullScore uint64
	for i, n := range nodes {
		if !r.Usable(n) {
			continue
		}
		score := mix(r.Key ^ n.key)
		if s.bound > 0 && float64(n.InFlight()+1) > max(limit, 1) {
			if full < 0 || score > fullScore {
				full, fullScore = i, score
			}
		} else if best < 0 || score > bestScore {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		return full
	}
	return best
}
