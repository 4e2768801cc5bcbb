package router_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
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

// strategyOdd may give no chooser.
type strategyOdd struct{ chooser []func() router.Chooser }

func (s strategyOdd) Chooser() router.Chooser { return s.chooser[0]() }
func (strategyOdd) String() string            { return "odd" }

type chooserPointer struct{ chooser }

// written is a writer of a log that is written meanwhile.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// A strategy that gives no chooser for a set of instances, or panics where it is asked in
// the background, is said in the log; calls get any of them.
func TestStrategiesWithoutAChooser(t *testing.T) {
	for name, f := range map[string]func() router.Chooser{
		"nothing":       func() router.Chooser { return nil },
		"a nil func":    func() router.Chooser { return chooser(nil) },
		"a nil pointer": func() router.Chooser { return (*chooserPointer)(nil) },
		"panics":        func() router.Chooser { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			lines := &written{}
			w := start(t, router.WithStrategy(strategyOdd{[]func() router.Chooser{f}}), router.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
			w.add(t, discovery.Instance{ID: "a", Labels: map[string]string{"x": "y"}})
			w.add(t, discovery.Instance{ID: "b"})
			w.settle(t, 2)
			chosen := map[string]int{}
			for range 100 {
				p := w.pick(t)
				p.Done(router.Outcome{})
				chosen[p.Instance.ID]++
			}
			if chosen["a"] < 20 || chosen["b"] < 20 {
				t.Errorf("chose %v of 100, want about half each", chosen)
			}
			if p := w.pick(t, router.Labels(map[string]string{"x": "y"})); p.Instance.ID != "a" {
				t.Errorf("chose %s, want the one with the label", p.Instance.ID)
			} else {
				p.Done(router.Outcome{})
			}
			if !strings.Contains(lines.String(), "the strategy gives no chooser") {
				t.Errorf("the log says %q", lines)
			}
		})
	}
}

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
