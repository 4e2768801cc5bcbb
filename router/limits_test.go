package router_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
)

// Each limit of each option: what it just allows, and what it does not.
func TestLimitsOfOptions(t *testing.T) {
	e, b, s := router.WithEjection, func(p router.BreakerPolicy) router.Option {
		return router.WithBreakers(router.Breakers{BreakerPolicy: p})
	},
		func(s router.Sharing) router.Option { return router.WithSharing(router.Memory(), s) }
	probe := (&busy{}).probe
	p := func(p router.Probing) router.Option { return router.WithStrategy(router.Prequal(probe, p)) }
	rule := func(r router.Rule) router.Option { return router.WithRules(r) }
	branches := func(all ...router.Branch) router.Option {
		return rule(router.Rule{Name: "r", Service: "s", Branches: all})
	}
	one := []router.Branch{{Variant: "v", Version: "1"}}
	nan := math.NaN()
	for name, c := range map[string]struct{ good, bad []router.Option }{
		"nothing":     {[]router.Option{router.WithFallback(router.FallbackNone)}, []router.Option{nil}},
		"discovery":   {nil, []router.Option{router.WithDiscovery(nil), router.WithDiscovery((*told)(nil))}},
		"strategy":    {[]router.Option{router.WithStrategy(router.Random())}, []router.Option{router.WithStrategy(nil), router.WithStrategy((*strategyPointer)(nil)), router.WithStrategy(strategyFunc(nil))}},
		"logger":      {nil, []router.Option{router.WithLogger(nil)}},
		"client":      {[]router.Option{router.WithClient("a")}, []router.Option{router.WithClient("")}},
		"zone":        {[]router.Option{router.WithZone("a")}, []router.Option{router.WithZone("")}},
		"peers":       {[]router.Option{router.WithPeers("s", "a")}, []router.Option{router.WithPeers("", "a"), router.WithPeers("s", ""), router.WithPeers("", "")}},
		"slow start":  {[]router.Option{router.WithSlowStart(1)}, []router.Option{router.WithSlowStart(0), router.WithSlowStart(-1)}},
		"panic":       {[]router.Option{router.WithPanic(0), router.WithPanic(1)}, []router.Option{router.WithPanic(-.01), router.WithPanic(1.01), router.WithPanic(nan)}},
		"fallback":    {[]router.Option{router.WithFallback(router.FallbackAny)}, []router.Option{router.WithFallback(router.FallbackAny + 1)}},
		"rule source": {nil, []router.Option{router.WithRuleSource(nil)}},
		"clock":       {[]router.Option{router.WithClock(func() time.Duration { return 0 })}, []router.Option{router.WithClock(nil)}},
		"random":      {[]router.Option{router.WithRandom(func() uint64 { return 0 })}, []router.Option{router.WithRandom(nil)}},
		"ejection": {[]router.Option{e(router.Ejection{}), e(router.Ejection{Consecutive: 1, Share: 1, Slower: .1, Base: 1, Max: 1, Cap: 1})},
			[]router.Option{e(router.Ejection{Consecutive: -1}), e(router.Ejection{Share: -.1}), e(router.Ejection{Share: 1.1}), e(router.Ejection{Slower: -1}), e(router.Ejection{Base: -1}), e(router.Ejection{Max: -1}), e(router.Ejection{Cap: -.1}), e(router.Ejection{Cap: 1.1})}},
		"breakers": {[]router.Option{b(router.BreakerPolicy{}), b(router.BreakerPolicy{Consecutive: 1, Share: 1, Least: 1, Hang: 1, Open: 1, Longest: 1, Trials: 8, Lease: 1, Ramp: 1}), b(router.BreakerPolicy{Trials: 1})},
			[]router.Option{b(router.BreakerPolicy{Consecutive: -1}), b(router.BreakerPolicy{Share: -.1}), b(router.BreakerPolicy{Share: 1.1}), b(router.BreakerPolicy{Share: nan}), b(router.BreakerPolicy{Least: -1}), b(router.BreakerPolicy{Hang: -1}), b(router.BreakerPolicy{Open: -1}),
				b(router.BreakerPolicy{Longest: -1}), b(router.BreakerPolicy{Trials: -1}), b(router.BreakerPolicy{Trials: 9}), b(router.BreakerPolicy{Lease: -1}), b(router.BreakerPolicy{Ramp: -1})}},
		"sharing": {[]router.Option{s(router.Sharing{}), s(router.Sharing{Interval: 1, TTL: 1})}, []router.Option{s(router.Sharing{Interval: -1}), s(router.Sharing{TTL: -1}), router.WithSharing(nil, router.Sharing{}), router.WithSharing((*liar)(nil), router.Sharing{})}},
		"probing": {[]router.Option{p(router.Probing{}), p(router.Probing{PerCall: 100, Pool: 1, Quantile: 1, MaxAge: 1, Timeout: 1, Parallel: 1}), p(router.Probing{PerCall: .1, Quantile: .1})},
			[]router.Option{p(router.Probing{PerCall: -.1}), p(router.Probing{PerCall: 101}), p(router.Probing{PerCall: nan}), p(router.Probing{Pool: -1}), p(router.Probing{Quantile: -.1}), p(router.Probing{Quantile: 1.1}), p(router.Probing{Quantile: nan}),
				p(router.Probing{MaxAge: -1}), p(router.Probing{Timeout: -1}), p(router.Probing{Parallel: -1}), router.WithStrategy(router.Prequal(nil, router.Probing{}))}},
		"rules": {[]router.Option{rule(router.Rule{Name: "r", Service: "s", Branches: one}), branches(router.Branch{Variant: "v", Version: "1", Weight: 100}), branches(router.Branch{Variant: "v", Labels: map[string]string{"a": "1"}}),
			branches(router.Branch{Variant: "v", Version: "1", Weight: 60}, router.Branch{Variant: "w", Version: "2", Weight: 40}),
			router.WithRules(router.Rule{Name: "r", Service: "s", Branches: one}, router.Rule{Name: "q", Service: "s", Branches: one})},
			[]router.Option{rule(router.Rule{Service: "s", Branches: one}), rule(router.Rule{Name: "r", Branches: one}), rule(router.Rule{Name: "r", Service: "s"}), branches(router.Branch{Version: "1"}), branches(router.Branch{Variant: router.Rest, Version: "1"}), branches(router.Branch{Variant: "v"}),
				branches(router.Branch{Variant: "v", Version: "1"}, router.Branch{Variant: "v", Version: "2"}), branches(router.Branch{Variant: "v", Version: "1", Weight: -1}), branches(router.Branch{Variant: "v", Version: "1", Weight: 101}),
				branches(router.Branch{Variant: "v", Version: "1", Weight: 60}, router.Branch{Variant: "w", Version: "2", Weight: 41}),
				router.WithRules(router.Rule{Name: "r", Service: "s", Branches: one}, router.Rule{Name: "r", Service: "t", Branches: one})}},
	} {
		for want, all := range map[bool][]router.Option{true: c.good, false: c.bad} {
			for i, o := range all {
				d, err := discovery.New(static.Backend())
				if err != nil {
					t.Fatal(err)
				}
				r, err := router.New(router.WithDiscovery(d), o)
				if (err == nil) != want || err != nil && (!errors.Is(err, router.ErrInvalid) || r != nil) {
					t.Errorf("%s: option %d, which is good: %v: %v", name, i, want, err)
				}
				if r != nil {
					r.Close(t.Context())
				}
				d.Close()
			}
		}
	}
	if r, err := router.New(); !errors.Is(err, router.ErrInvalid) || r != nil {
		t.Errorf("without a discovery: %v", err)
	}
	for _, c := range []struct {
		p    router.BreakerPolicy
		good bool
	}{{router.BreakerPolicy{Share: 1, Trials: 8}, true}, {router.BreakerPolicy{Share: 1.1}, false}} {
		if b, err := router.NewBreaker(c.p); (err == nil) != c.good || (b != nil) != c.good {
			t.Errorf("%+v: %v, %v", c.p, b, err)
		}
	}
}
