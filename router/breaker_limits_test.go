package router_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

// Each limit of a policy, right below it, at it and above it.
func TestBreakerOpensAtItsLimits(t *testing.T) {
	row := router.BreakerPolicy{Consecutive: 3}
	share := router.BreakerPolicy{Consecutive: 1000, Share: .5, Least: 10}
	for _, c := range []struct {
		name      string
		policy    router.BreakerPolicy
		good, bad int // outcomes, the good ones first
		opens     bool
	}{
		{"a failure less than in a row", row, 0, 2, false},
		{"as many as in a row", row, 0, 3, true},
		{"after good ones", row, 50, 3, true},
		{"an outcome less than the least", share, 0, 9, false},
		{"the least", share, 0, 10, true},
		{"less than the share", share, 6, 5, false},
		{"the share itself", share, 6, 6, false},
		{"more than the share", share, 6, 7, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker(t, c.policy)
			time.Sleep(time.Second)
			for i := range c.good + c.bad {
				class := router.OK
				if i >= c.good {
					class = router.Timeout
				}
				trial, err := b.Allow()
				if err != nil {
					t.Fatalf("%s: call %d of %d: %v", c.name, i+1, c.good+c.bad, err)
				}
				trial.Done(class)
			}
			if opened := b.State() == router.Open; opened != c.opens {
				t.Errorf("%s: %d good and %d bad: it is %v, want open %v", c.name, c.good, c.bad, b.State(), c.opens)
			}
			if _, err := b.Allow(); (err != nil) != c.opens {
				t.Errorf("%s: the next call: %v, want an error %v", c.name, err, c.opens)
			}
		})
	}
}

// A trial that never reports has failed as soon as its lease is over, not before.
func TestLeaseOfATrialEndsOnTime(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		want  router.State
	}{{10*time.Second - 1, router.HalfOpen}, {10 * time.Second, router.Open}, {11 * time.Second, router.Open}} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker(t, router.BreakerPolicy{Consecutive: 1, Open: time.Second, Trials: 2, Lease: 10 * time.Second})
			first, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			first.Done(router.ServerError)
			time.Sleep(1500 * time.Millisecond)
			if _, err := b.Allow(); err != nil { // never reports
				t.Fatalf("the trial: %v", err)
			}
			time.Sleep(c.takes)
			b.Allow()
			if got := b.State(); got != c.want {
				t.Errorf("%v after a trial began that never reports: %v, want %v", c.takes, got, c.want)
			}
		})
	}
}

// A good outcome begins the row of failures again; one that was cancelled says
// nothing.
func TestBreakerCountsFailuresInARow(t *testing.T) {
	classes := map[rune]router.Class{'b': router.Timeout, 'g': router.OK, 'c': router.Cancelled}
	for outcomes, want := range map[string]router.State{
		"bbg": router.Closed, "bbgb": router.Closed, "bbgbb": router.Closed, "bbgbbb": router.Open, "bbc": router.Closed, "bbcb": router.Open,
	} {
		b := breaker(t, router.BreakerPolicy{Consecutive: 3})
		for _, o := range outcomes {
			trial, err := b.Allow()
			if err != nil {
				t.Fatalf("%s: %v", outcomes, err)
			}
			trial.Done(classes[o])
		}
		if got := b.State(); got != want {
			t.Errorf("after %s it is %v, want %v", outcomes, got, want)
		}
	}
}
