package soak

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// targetEnv is the address of a load's other side, in the process that it runs in.
const targetEnv = "SOAK_TARGET"

// TestSoak holds each package under load for SOAK, over a network that is cut,
// silent and slow every few seconds. All loads run side by side, each in a process of
// its own, so that what one holds does not show in another's figures. Without
// SOAK it makes a few calls of each.
func TestSoak(t *testing.T) {
	d := servertest.Soak(t)
	target, child := os.LookupEnv(targetEnv)
	for _, l := range loads() {
		t.Run(l.name, func(t *testing.T) {
			switch {
			case d == 0:
				try(t, l)
			case child:
				run(t, l, target, d)
			default:
				t.Parallel()
				apart(t, l)
			}
		})
	}
}

// apart has a process of its own run a load.
func apart(t *testing.T, l load) {
	target := ""
	if l.target != nil {
		target = l.target(t)
	}
	exe := must[string](t)(os.Executable())
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestSoak$/^"+strings.ReplaceAll(l.name, " ", "_")+"$", "-test.v", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), targetEnv+"="+target)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// try makes calls on a network that works: none may fail.
func try(t *testing.T, l load) {
	addr := ""
	if l.target != nil {
		addr = l.target(t)
	}
	call := l.start(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := range int64(20) {
		if err := call(ctx, n); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
	}
}

// A few goroutines make calls at a rate that leaves the machine to all loads: what
// leaks does so at every call or fault, not at full speed.
const (
	workers = 4
	between = 100 * time.Millisecond
)

func run(t *testing.T, l load, target string, d time.Duration) {
	addr := ""
	var proxy *netfault.Proxy
	if l.target != nil {
		proxy = netfault.New(t, target)
		addr = proxy.Addr()
	}
	call := l.start(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var (
		calls, failed, faults atomic.Int64
		busy                  sync.WaitGroup
	)
	for range workers {
		busy.Go(func() {
			for ctx.Err() == nil {
				one, end := context.WithTimeout(ctx, 2*time.Second)
				if err := call(one, calls.Add(1)); err != nil && ctx.Err() == nil {
					failed.Add(1)
				}
				end()
				pause(ctx, between)
			}
		})
	}
	if proxy != nil {
		busy.Go(func() { disturb(ctx, proxy, &faults) })
	}
	start, every := time.Now(), max(d/60, 250*time.Millisecond)
	var all []sample
	for pause(ctx, every) {
		s := take(start)
		s.calls, s.failed, s.faults = calls.Load(), failed.Load(), faults.Load()
		all = append(all, s)
	}
	busy.Wait()
	t.Logf("%d calls, %d failed, %d faults", calls.Load(), failed.Load(), faults.Load())
	if calls.Load() == failed.Load() {
		t.Error("no call succeeded")
	}
	write(t, l.name, all)
	flat(t, all)
}

// disturb breaks the network for a moment, then leaves it in peace for a while.
func disturb(ctx context.Context, p *netfault.Proxy, faults *atomic.Int64) {
	dice := rand.New(rand.NewPCG(1, 2))
	for pause(ctx, time.Duration(500+dice.IntN(1500))*time.Millisecond) {
		faults.Add(1)
		switch dice.IntN(5) {
		case 0:
			p.Reset()
		case 1:
			p.Refuse()
		case 2:
			p.Hold(netfault.Both)
		case 3:
			p.Delay(50*time.Millisecond, 20*time.Millisecond)
		case 4:
			p.CutReplies(1)
		}
		pause(ctx, time.Duration(200+dice.IntN(800))*time.Millisecond)
		p.Heal()
	}
}

// pause reports whether ctx still lives after d.
func pause(ctx context.Context, d time.Duration) bool { return backoff.Sleep(ctx, d) == nil }

// What grows is found, and what does not is left alone.
func TestGrowthIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		grow func(i int, s *sample)
		bad  bool
	}{
		"flat":        {func(int, *sample) {}, false},
		"noise":       {func(i int, s *sample) { s.heap += uint64(i%5) << 18; s.goroutines += i % 7; s.files += i % 3 }, false},
		"warming up":  {func(i int, s *sample) { s.heap += uint64(min(i, 20)) << 20 }, false},
		"memory":      {func(i int, s *sample) { s.heap += uint64(i) << 18 }, true},
		"goroutines":  {func(i int, s *sample) { s.goroutines += i }, true},
		"files":       {func(i int, s *sample) { s.files += i }, true},
		"connections": {func(i int, s *sample) { s.sockets += i }, true},
	} {
		var all []sample
		for i := range 60 {
			s := sample{heap: 8 << 20, goroutines: 40, files: 20, sockets: 10}
			c.grow(i, &s)
			all = append(all, s)
		}
		r := &recorder{TB: t}
		flat(r, all)
		if r.failed != c.bad {
			t.Errorf("%s: noticed %t, want %t", name, r.failed, c.bad)
		}
	}
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Helper()               {}
