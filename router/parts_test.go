package router_test

import (
	"fmt"
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

type chooser func(nodes int) int

func (f chooser) Choose(_ *router.Request, nodes []*router.Node) int { return f(len(nodes)) }

// Strategies as users write them: a function, a value that can't be compared, a
// pointer.
type (
	strategyFunc    func(nodes int) int
	strategySlice   struct{ choose []chooser }
	strategyPointer struct{ f chooser }
)

func (f strategyFunc) Chooser() router.Chooser     { return chooser(f) }
func (strategyFunc) String() string                { return "func" }
func (s strategySlice) Chooser() router.Chooser    { return s.choose[0] }
func (strategySlice) String() string               { return "slice" }
func (s *strategyPointer) Chooser() router.Chooser { return s.f }
func (*strategyPointer) String() string            { return "pointer" }

// A strategy that chooses what isn't there has chosen nothing, and a call gets
// an instance all the same. One that panics does so for its caller alone.
func TestStrategiesOfTheUsersOwn(t *testing.T) {
	bad := true
	for name, f := range map[string]chooser{
		"the first":    func(int) int { return 0 },
		"the last":     func(n int) int { return n - 1 },
		"none":         func(int) int { return -1 },
		"one too many": func(n int) int { return n },
		"far too few":  func(int) int { return -1 << 31 },
		"it panics": func(int) int {
			if bad {
				panic("boom")
			}
			return 0
		},
	} {
		for _, s := range []router.Strategy{strategyFunc(f), strategySlice{[]chooser{f}}, &strategyPointer{f}} {
			for kind, opts := range map[string][]router.Option{"plain": nil, "breakers": {router.WithBreakers(router.Breakers{})}} {
				t.Run(fmt.Sprint(name, ", ", s, ", ", kind), func(t *testing.T) {
					w := start(t, append(opts, router.WithStrategy(s))...)
					w.add(t, discovery.Instance{ID: "a"})
					w.add(t, discovery.Instance{ID: "b"})
					bad = false
					w.settle(t, 2)
					bad = name == "it panics"
					chosen := map[string]bool{}
					for range 3 {
						func() {
							defer func() {
								if v := recover(); (v != nil) != bad {
									t.Errorf("panicked: %v", v)
								}
							}()
							p := w.pick(t)
							p.Done(router.Outcome{})
							chosen[p.Instance.ID] = true
						}()
					}
					if (len(chosen) == 0) != bad || len(chosen) > 1 && (name == "the first" || name == "the last") {
						t.Errorf("chose %v", chosen)
					}
					bad = false
					w.pick(t).Done(router.Outcome{})
					for _, id := range []string{"a", "b"} {
						if n := w.stat(t, id).InFlight; n != 0 {
							t.Errorf("%d picks of %s are open", n, id)
						}
					}
				})
			}
		}
	}
}
