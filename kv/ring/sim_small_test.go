package ring

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/sim"
)

// TestSimulatedSmall plays a ring of three to five nodes: of few, more nodes own a key,
// and a seed costs less. Half of the keys are there before the first fault, and are
// deleted, or replaced by something that ends, while a node misses it.
func TestSimulatedSmall(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 30,
		Draw: func(s *sim.Sim) []sim.Fault {
			names := fewNodes(s)
			faults := sim.Mix{
				Nodes: names, Max: 3, During: 4 * time.Second, Longest: 4 * time.Second,
				Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, sim.Crash},
			}.Draw(s.Dice("faults"))
			return append(faults, story(s.Dice("story"), names)...)
		},
		Run: func(s *sim.Sim) {
			w := newSimRing(s, fewNodes(s))
			w.stock, w.brief = 15, s.Seed()%4 != 0
			w.run()
		},
	})
}

func fewNodes(s *sim.Sim) []string {
	return []string{"a", "b", "c", "d", "e"}[:3+s.Dice("size").IntN(3)]
}

// story draws faults that belong together: each needs its time, and one alone does little.
func story(dice *rand.Rand, names []string) []sim.Fault {
	after := func(least, span time.Duration) time.Duration { return least + time.Duration(dice.Int64N(int64(span))) }
	dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	at := after(0, 2*time.Second)
	switch dice.IntN(4) {
	case 0: // a node is left out, and comes back with what it had
		return []sim.Fault{{At: at, For: after(simDetection*5/4, simTombs/2-simDetection*3/2), Kind: sim.Isolate, From: names[0]}}
	case 1: // a node dies that for a while could not reach another one
		return []sim.Fault{
			{At: at, For: 4 * time.Second, Kind: sim.Cut, From: names[0], To: names[1]},
			{At: at + after(simDetection, 2*time.Second), For: time.Second, Kind: sim.Kill, From: names[0]},
		}
	case 2: // two nodes are added at the same time, and are far away
		if len(names) == 3 {
			return nil
		}
		faults := []sim.Fault{{At: at, Kind: joins, From: names[0]}, {At: at, Kind: joins, From: names[1]}}
		for _, from := range names[:2] {
			for _, to := range names[2:] {
				faults = append(faults, sim.Fault{At: at, For: 3 * time.Second, Kind: sim.Delay, From: from, To: to, Size: 10 + dice.IntN(200)})
			}
		}
		return faults
	}
	return nil
}
