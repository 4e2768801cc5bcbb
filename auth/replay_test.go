package auth

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/internal/dpop"
)

// Each proof is good once for as long as it is good at all, and what is
// remembered is bounded.
func TestProofsAreRememberedForAsLongAsTheyAreGood(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, first := range []time.Duration{0, time.Second, 2*dpop.Window - 1, 2 * dpop.Window, 3 * dpop.Window} {
		for _, later := range []time.Duration{0, 1, dpop.Window, 2*dpop.Window - 1, 2 * dpop.Window} {
			p := &proofs{}
			if err := p.use("before", start); err != nil {
				t.Fatal(err)
			}
			if err := p.use("a", start.Add(first)); err != nil {
				t.Fatal(err)
			}
			for step := time.Duration(0); step < later; step += dpop.Window / 2 { // others come in between
				p.use(fmt.Sprint(step), start.Add(first+step))
			}
			if err := p.use("a", start.Add(first+later)); !errors.Is(err, ErrProof) {
				t.Errorf("first after %s, again %s later: %v, want ErrProof", first, later, err)
			}
		}
	}
}

func TestMemoryOfProofsIsBounded(t *testing.T) {
	p, now, refused := &proofs{size: 100}, time.Unix(1_700_000_000, 0), 0
	for i := range 10_000 {
		now = now.Add(50 * time.Millisecond)
		if err := p.use(fmt.Sprint(i), now); err != nil {
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnauthenticated) {
				t.Fatalf("full: %v, want ErrUnavailable", err)
			}
			refused++
		}
		if n := len(p.young) + len(p.old); n > 200 {
			t.Fatalf("%d are remembered", n)
		}
	}
	if refused == 0 || refused == 10_000 {
		t.Errorf("%d of 10000 refused", refused)
	}
	now = now.Add(4 * dpop.Window)
	if err := p.use("new", now); err != nil || len(p.young)+len(p.old) != 1 {
		t.Errorf("later: %v, %d remembered", err, len(p.young)+len(p.old))
	}
}
