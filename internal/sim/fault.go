package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds that the network has. Between two nodes, in one direction unless
// said otherwise:
const (
	Cut    Kind = "cut"    // nothing arrives; what was sent arrives after the end
	Delay  Kind = "delay"  // everything takes Size milliseconds longer
	Slow   Kind = "slow"   // Size bytes a second
	Lossy  Kind = "lossy"  // Size of a hundred segments are lost and sent again, after 200 ms, 400 ms, …
	Reset  Kind = "reset"  // connections are reset after Size more bytes, if these come before its end, both ways
	Forget Kind = "forget" // connections swallow everything and say nothing, both ways; new ones work
)

// About one node:
const (
	Isolate Kind = "isolate" // nothing comes in or goes out
	// Freeze holds what comes in and goes out, as with a process that SIGSTOP stops: who connects
	// is connected, and nobody answers. The node's own timers go on, though: to the others it is stopped,
	// but what it does itself when it finds that time has passed can't be seen here.
	Freeze Kind = "freeze"
)

// About one node, for worlds that handle them:
const (
	Kill  Kind = "kill"  // the process dies: its connections are reset, who connects is refused
	Crash Kind = "crash" // the machine dies: its connections are silent until it is back
)

// twoNodes are the kinds that have a To.
var twoNodes = map[Kind]bool{Cut: true, Delay: true, Slow: true, Lossy: true, Reset: true, Forget: true}

// Fault is something that goes wrong from one moment to another.
type Fault struct {
	At, For  time.Duration // from the beginning of the run
	Kind     Kind
	From, To string // nodes; To is empty where one is meant
	Size     int

	skipped string // why it did not happen
}

func (f Fault) String() string {
	text := fmt.Sprintf("%s %s", f.Kind, f.From)
	if f.To != "" {
		text += " → " + f.To
	}
	if f.Size != 0 {
		text += fmt.Sprintf(" (%d)", f.Size)
	}
	return text
}

// Mix says which faults a world has.
type Mix struct {
	Nodes   []string
	Kinds   []Kind
	Max     int           // of a run, at most
	During  time.Duration // they begin before that
	Longest time.Duration
}

// Draw makes up the faults of a run. Each run has only some of the kinds, so that
// those that hide each other also come alone (swarm testing: Groce et al., 2012).
func (m Mix) Draw(dice *rand.Rand) []Fault {
	var kinds []Kind
	for _, k := range m.Kinds {
		if dice.IntN(2) == 0 {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 && len(m.Kinds) > 0 {
		kinds = m.Kinds[:1+dice.IntN(len(m.Kinds))]
	}
	if len(kinds) == 0 || len(m.Nodes) == 0 {
		return nil
	}
	faults := make([]Fault, dice.IntN(m.Max+1))
	for i := range faults {
		f := Fault{At: time.Duration(dice.Int64N(int64(m.During))), Kind: kinds[dice.IntN(len(kinds))]}
		// As many short ones as long ones, by their order of magnitude.
		least := float64(10 * time.Millisecond)
		f.For = time.Duration(least * math.Pow(float64(m.Longest)/least, dice.Float64()))
		from := dice.IntN(len(m.Nodes))
		f.From = m.Nodes[from]
		if twoNodes[f.Kind] {
			if len(m.Nodes) < 2 {
				continue
			}
			f.To = m.Nodes[(from+1+dice.IntN(len(m.Nodes)-1))%len(m.Nodes)]
		}
		switch f.Kind {
		case Delay:
			f.Size = 1 << dice.IntN(12)
		case Slow:
			f.Size = 1 << (8 + dice.IntN(10))
		case Lossy:
			f.Size = 1 + dice.IntN(60)
		case Reset:
			f.Size = dice.IntN(4) * dice.IntN(200)
		}
		faults[i] = f
	}
	return faults
}
