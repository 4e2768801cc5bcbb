// Package seldom keeps a flood out of a log: of each kind of line a few pass in
// a while, and the next that passes says how many did not.
package seldom

import (
	"sync"
	"time"
)

// Gate lets lines through. Its zero value lets five of each kind through in ten
// seconds. It is safe for concurrent use.
type Gate struct {
	Burst int           // of one kind within Every; 0: 5
	Every time.Duration // 0: 10 s

	mu    sync.Mutex
	kinds map[string]*kind
}

// maxKinds bounds what is remembered: kinds are few and chosen by the program.
// Those beyond it share one.
const maxKinds = 64

type kind struct {
	since   time.Time
	passed  int
	dropped int
}

// Pass reports whether a line of a kind may be written at now, and how many
// lines of it were not since the last that was.
func (g *Gate) Pass(name string, now time.Time) (ok bool, dropped int) {
	burst, every := g.Burst, g.Every
	if burst <= 0 {
		burst = 5
	}
	if every <= 0 {
		every = 10 * time.Second
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kinds == nil {
		g.kinds = map[string]*kind{}
	}
	k := g.kinds[name]
	if k == nil {
		if len(g.kinds) >= maxKinds {
			name = ""
			k = g.kinds[name]
		}
		if k == nil {
			k = &kind{since: now}
			g.kinds[name] = k
		}
	}
	if age := now.Sub(k.since); age >= every || age < 0 { // a clock that was set back begins again
		k.since, k.passed = now, 0
	}
	if k.passed >= burst {
		k.dropped++
		return false, 0
	}
	k.passed++
	dropped, k.dropped = k.dropped, 0
	return true, dropped
}
