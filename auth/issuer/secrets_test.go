package issuer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Who guesses has a few tries, then a second, two, four, up to a minute; who is right
// begins again, and so does another source or another account. This process never waits.
func TestPausesOfWhoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s secrets
		s.init(1, time.Now)
		hash := newSlowHash("right", 1)
		try := func(source, id, secret string) (bool, time.Duration) {
			ok, wait, err := s.check(t.Context(), source, id, hash, secret)
			if err != nil {
				t.Fatal(err)
			}
			return ok, wait
		}
		pauses := []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60}
		for n, seconds := range pauses {
			if ok, wait := try("stranger", "a", "wrong"); ok || wait != 0 {
				t.Fatalf("guess %d: %v, %v, want that it is looked at", n+1, ok, wait)
			}
			pause := seconds * time.Second
			if got := max(s.pause(guesser{"stranger", "a"}), 0); got != pause {
				t.Errorf("after guess %d the pause is %v, want %v", n+1, got, pause)
			}
			if pause > 0 {
				if ok, wait := try("stranger", "a", "right"); ok || wait != pause {
					t.Errorf("a right one in the pause: %v, %v, want to wait for %v", ok, wait, pause)
				}
				time.Sleep(pause - 1)
				if _, wait := try("stranger", "a", "wrong"); wait != 1 {
					t.Errorf("just before its end: %v, want a nanosecond", wait)
				}
				time.Sleep(time.Nanosecond)
			}
			for _, other := range []guesser{{"other", "a"}, {"stranger", "b"}, {"", "a"}} {
				if p := s.pause(other); p > 0 {
					t.Errorf("%+v waits for %v", other, p)
				}
			}
		}
		for n := range 20 {
			if ok, wait := try("", "a", fmt.Sprint(n)); ok || wait != 0 {
				t.Errorf("this process: %v, %v", ok, wait)
			}
		}
		if ok, wait := try("stranger", "a", "right"); !ok || wait != 0 {
			t.Errorf("right, after the pause: %v, %v", ok, wait)
		}
		if g := s.wrong[guesser{"stranger", "a"}]; g.n != 0 {
			t.Errorf("its guesses are kept: %+v", g)
		}
		// What was right is known for a day, of this account and this hash.
		for range 10 {
			try("stranger", "a", "wrong")
		}
		known := s.mark("a", hash, "right")
		for _, c := range []struct {
			sleep time.Duration
			knows bool
		}{{0, true}, {rememberFor - 1, true}, {1, false}} {
			time.Sleep(c.sleep)
			if got := s.knows(known); got != c.knows {
				t.Errorf("after %v it is known: %v", c.sleep, got)
			}
		}
		if s.knows(s.mark("b", hash, "right")) || s.knows(s.mark("a", newSlowHash("right", 1), "right")) || s.knows(s.mark("a", hash, "wrong")) {
			t.Error("what is known is known of another")
		}
		// An account that is not there is no other than one whose secret is wrong.
		for n, seconds := range pauses[:6] {
			ok, wait, err := s.check(t.Context(), "stranger", "nobody", "", "right")
			if ok || wait != 0 || err != nil {
				t.Errorf("nobody, guess %d: %v, %v, %v", n, ok, wait, err)
			}
			pause := seconds * time.Second
			if got := max(s.pause(guesser{"stranger", "nobody"}), 0); got != pause {
				t.Errorf("nobody, guess %d: a pause of %v, want %v", n, got, pause)
			}
			time.Sleep(pause)
		}
		if ok, _, err := s.check(t.Context(), "", "nobody", "", ""); ok || err != nil {
			t.Errorf("nobody without a secret: %v, %v", ok, err)
		}
		// And costs a place as well.
		s.places = newQueue(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := s.check(ctx, "x", "nobody", "", "y"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody, without a place: %v", err)
		}
		if ok, _, err := s.check(ctx, "x", "c", fastHash+digest("fast"), "fast"); !ok || err != nil {
			t.Errorf("a generated secret needs a place: %v, %v", ok, err)
		}
	})
}

// What is remembered is bounded: what is over goes first, then anything.
func TestWhatIsRememberedOfSecretsIsBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name string
		n    int
		old  int // of n, the first are over
		left int
	}{
		{"below", rememberMost - 1, 10, rememberMost - 1},
		{"at, some over", rememberMost, 10, rememberMost - 10},
		{"at, none over", rememberMost, 0, rememberMost - 1},
	} {
		var s secrets
		s.init(1, func() time.Time { return now })
		for n := range c.n {
			until, next := now.Add(1), now.Add(-longestPause)
			if n < c.old {
				until, next = now, next.Add(-1)
			}
			s.right[[32]byte{byte(n), byte(n >> 8)}] = until
			s.wrong[guesser{"s", fmt.Sprint(n)}] = guesses{next: next}
		}
		s.forget(now)
		// Any may go until there is room: no more than one of those that are not over.
		if r, w := len(s.right), len(s.wrong); r < c.left-1 || r > c.left || w < c.left-1 || w > c.left {
			t.Errorf("%s: %d and %d are left, want %d", c.name, r, w, c.left)
		}
	}
}

// Of sources that have as many who wait, the one that asks for one more loses its oldest.
func TestWhoAsksForTooManyLosesItsOwn(t *testing.T) {
	for range 20 { // the order of the sources is chance
		q := newQueue(0)
		turns := map[string][]chan error{}
		push := func(source string) {
			turn := make(chan error, 1)
			turns[source] = append(turns[source], turn)
			q.push(source, turn)
		}
		for range waitMost / 2 {
			push("a")
			push("b")
		}
		push("a")
		if len(turns["a"][0]) != 1 || len(turns["a"][1]) != 0 {
			t.Fatal("the one that has the most loses not its oldest")
		}
		push("b") // 128 of a, 129 of b
		if len(turns["b"][0]) != 1 || len(turns["a"][1]) != 0 {
			t.Fatal("it is not the one that has the most that loses")
		}
		turns["c"] = nil
		for range waitMost / 2 {
			q.leave() // takes turns: both have half
		}
		for range waitMost / 6 {
			push("c")
		}
		n := len(q.lanes["a"])
		for len(q.lanes["c"]) < n {
			push("c")
		}
		if q.waiting > waitMost || len(q.turns) != 3 {
			t.Fatalf("%d wait, of %v", q.waiting, q.turns)
		}
	}
}

// Where each source has but one who waits, the one that has to go takes its turn along.
func TestASourceThatLosesItsOnlyOneHasNoTurn(t *testing.T) {
	q := newQueue(0)
	waiting := map[string]chan error{}
	for n := range waitMost + 1 {
		source := fmt.Sprint(n)
		waiting[source] = make(chan error, 1)
		q.push(source, waiting[source])
	}
	for range waitMost {
		q.leave()
	}
	served, refused := 0, 0
	for _, turn := range waiting {
		if err := <-turn; err == nil {
			served++
		} else {
			refused++
		}
	}
	if served != waitMost || refused != 1 || q.waiting != 0 || len(q.turns) != 0 {
		t.Errorf("%d served and %d refused, %d wait in %d turns", served, refused, q.waiting, len(q.turns))
	}
}
