package seldom

import (
	"fmt"
	"testing"
	"time"
)

func TestPass(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := &Gate{Burst: 2, Every: time.Second}
	for i, c := range []struct {
		kind    string
		after   time.Duration
		ok      bool
		dropped int
	}{
		{"a", 0, true, 0}, {"a", 0, true, 0}, {"a", 0, false, 0}, {"a", 999 * time.Millisecond, false, 0},
		{"b", 0, true, 0}, // another kind is not hidden
		{"a", time.Millisecond, true, 2},
		{"a", 0, true, 0}, {"a", 0, false, 0},
		{"a", -time.Hour, true, 1}, // the clock was set back
	} {
		now = now.Add(c.after)
		if ok, dropped := g.Pass(c.kind, now); ok != c.ok || dropped != c.dropped {
			t.Errorf("line %d of %s: %t, %d dropped, want %t, %d", i, c.kind, ok, dropped, c.ok, c.dropped)
		}
	}
}

func TestZeroValueAndManyKinds(t *testing.T) {
	g, now, passed := &Gate{}, time.Unix(0, 0), 0
	for range 20 {
		if ok, _ := g.Pass("x", now); ok {
			passed++
		}
	}
	if passed != 5 {
		t.Errorf("%d of 20 passed, want 5", passed)
	}
	for i := range 10_000 {
		g.Pass(fmt.Sprint(i), now)
	}
	if len(g.kinds) > maxKinds+1 {
		t.Errorf("%d kinds are remembered", len(g.kinds))
	}
}
