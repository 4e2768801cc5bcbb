package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// Sim is one run of a world, in a synctest bubble.
type Sim struct {
	seed  uint64
	plan  []Fault
	t     *testing.T
	start time.Time
	net   *Net

	mu       sync.Mutex
	handlers map[Kind]Handler
	down     map[string]bool // nodes at which a handler of WhileUp is busy
	became   []string        // of each fault, why it did not happen
	failures []string
	lines    []string
	end      time.Duration
}

// Handler makes a fault happen and returns what ends it, which may be nil. An
// error says why the fault did not happen: it would go beyond what the package
// promises to stand, or its target is down.
type Handler func(f Fault) (end func(), err error)

// began is what the clock of every world shows first. A bubble begins in the
// year 2000, which is before anything that programs take for a time.
var began = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *Sim) enter(t *testing.T) {
	time.Sleep(time.Until(began))
	s.t, s.start = t, time.Now()
	s.handlers, s.down = map[Kind]Handler{}, map[string]bool{}
	s.became = make([]string, len(s.plan))
	s.net = newNet(s)
}

func (s *Sim) leave() { s.end = s.Time() }

// Seed is the run's seed.
func (s *Sim) Seed() uint64 { return s.seed }

// Faults is what will happen in the run.
func (s *Sim) Faults() []Fault { return s.plan }

// Net is the world's network.
func (s *Sim) Net() *Net { return s.net }

// Context ends when the run does.
func (s *Sim) Context() context.Context { return s.t.Context() }

// Time is how long the run has lasted, by the virtual clock.
func (s *Sim) Time() time.Duration { return time.Since(s.start) }

// Dice returns the random numbers of one purpose. They depend on the seed and the
// name alone, so that one goroutine's draws do not depend on another's, nor on
// which faults there are.
func (s *Sim) Dice(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// Logf adds a line to the history that is shown when the run fails.
func (s *Sim) Logf(format string, args ...any) {
	line := fmt.Sprintf("%10.6fs  %s", s.Time().Seconds(), fmt.Sprintf(format, args...))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// Logger returns a logger, of all levels, whose lines go to the history.
func (s *Sim) Logger(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{s, name}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

type logWriter struct {
	s    *Sim
	name string
}

func (w logWriter) Write(b []byte) (int, error) {
	w.s.Logf("%s: %s", w.name, bytes.TrimSpace(b))
	return len(b), nil
}

// Failf records that a promise was broken. The run goes on.
func (s *Sim) Failf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, text)
}

// Failed reports whether a promise was broken.
func (s *Sim) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failures) > 0
}

// Handle says what a fault of a kind is in this world. The kinds of the network
// have handlers; one given here replaces it.
func (s *Sim) Handle(k Kind, h Handler) { s.handlers[k] = h }

// WhileUp is h for nodes that are up: a fault does not happen at a node at which
// another one, of any handler that WhileUp returned, is not over.
func (s *Sim) WhileUp(h Handler) Handler {
	return func(f Fault) (func(), error) {
		s.mu.Lock()
		down := s.down[f.From]
		s.down[f.From] = true
		s.mu.Unlock()
		if down {
			return nil, errors.New("it is down")
		}
		up := func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.down[f.From] = false
		}
		end, err := h(f)
		if err != nil {
			up()
			return nil, err
		}
		return func() { end(); up() }, nil
	}
}

// Play makes the faults happen, at their times from the beginning of the run,
// and returns when the last one is over.
func (s *Sim) Play() {
	var wg sync.WaitGroup
	for i, f := range s.plan {
		h := s.handlers[f.Kind]
		if h == nil {
			h = s.net.Handler(f.Kind)
		}
		if h == nil {
			s.Failf("no handler for a fault of kind %q", f.Kind)
			return
		}
		wg.Go(func() {
			time.Sleep(f.At - s.Time())
			s.Logf("FAULT %s", f)
			end, err := h(f)
			if err != nil {
				s.mu.Lock()
				s.became[i] = err.Error()
				s.mu.Unlock()
				return
			}
			time.Sleep(f.At + f.For - s.Time())
			if end != nil {
				end()
				s.Logf("OVER  %s", f)
			}
		})
	}
	wg.Wait()
}

// Until polls until done reports true, for at most the given time.
func (s *Sim) Until(within time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(within); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func (s *Sim) outcome() outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := slices.Clone(s.plan)
	for i, why := range s.became {
		faults[i].skipped = why
	}
	return outcome{failures: s.failures, log: s.lines, faults: faults, virtual: s.end}
}
