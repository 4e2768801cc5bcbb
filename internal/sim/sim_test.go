package sim

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestShrinkKeepsWhatItTakes(t *testing.T) {
	var all []Fault
	for i := range 40 {
		all = append(all, Fault{Kind: Cut, Size: i})
	}
	for _, guilty := range [][]int{{}, {0}, {39}, {3, 17}, {0, 20, 39}, {1, 2, 3, 4}} {
		runs := 0
		least := shrink(all, func(faults []Fault) bool {
			runs++
			for _, g := range guilty {
				if !slices.ContainsFunc(faults, func(f Fault) bool { return f.Size == g }) {
					return false
				}
			}
			return true
		})
		var got []int
		for _, f := range least {
			got = append(got, f.Size)
		}
		if !slices.Equal(got, guilty) {
			t.Errorf("got %v, want %v", got, guilty)
		}
		if runs > shrinkRuns {
			t.Errorf("%v took %d runs", guilty, runs)
		}
	}
}

// TestAFailureIsShrunkAndExplained: a world that breaks when node b is cut off from a,
// whatever else happens.
func TestAFailureIsShrunkAndExplained(t *testing.T) {
	w := &World{
		Mix: Mix{Nodes: []string{"a", "b"}, Kinds: []Kind{Cut, Delay, "own"}, Max: 30, During: time.Second, Longest: time.Second},
		Run: func(s *Sim) {
			s.Handle("own", func(Fault) (func(), error) { return nil, nil })
			s.Handle(Cut, func(f Fault) (func(), error) {
				if f.From == "a" {
					s.Failf("it broke")
				}
				return nil, nil
			})
			s.Play()
		},
	}
	found := false
	for seed := uint64(1); seed < 50 && !found; seed++ {
		plan := w.faults(seed)
		out := w.play(t, seed, plan)
		guilty := 0
		for _, f := range plan {
			if f.Kind == Cut && f.From == "a" {
				guilty++
			}
		}
		if out.failed() != (guilty > 0) {
			t.Fatalf("seed %d: %q with %d cuts of a", seed, out.failures, guilty)
		}
		if guilty < 2 || len(plan) < 10 {
			continue
		}
		found = true
		text := w.explain(t, seed, plan, out)
		for _, want := range []string{"1 of ", "it broke", "cut a → b", `Kind: "cut", From: "a", To: "b"`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if strings.Contains(text, "delay") || strings.Contains(text, "own") {
			t.Errorf("faults that do nothing are left in\n%s", text)
		}
	}
	if !found {
		t.Error("no seed has two cuts of a")
	}
}

// TestWhatOutlivesARunIsAFailure, and what ends in time is none.
func TestWhatOutlivesARunIsAFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*Sim)
		want bool
	}{
		{"a goroutine that is waited for", func(*Sim) { done := make(chan bool); go close(done); <-done }, false},
		{"a goroutine that is about to end", func(*Sim) { go func() {}() }, false},
		{"a goroutine that waits for nobody", func(*Sim) { go func() { select {} }() }, true},
		{"a goroutine that sleeps", func(*Sim) { go time.Sleep(time.Hour) }, true},
		{"a world that waits for nobody", func(*Sim) { select {} }, true},
		{"a promise that was broken", func(s *Sim) { s.Failf("it was") }, true},
	} {
		w := &World{Run: c.run}
		if out := w.play(t, 1, nil); out.failed() != c.want {
			t.Errorf("%s: %q", c.name, out.failures)
		}
	}
}

// TestASeedThatPanicsOrHangsIsNamed, also without -v: its number is the last thing that is
// printed before the end of the process.
func TestASeedThatPanicsOrHangsIsNamed(t *testing.T) {
	if how := os.Getenv("SIM_TEST_BAD"); how != "" {
		Test(t, World{Run: func(s *Sim) {
			switch {
			case s.Seed() != 4:
			case how == "panic":
				go panic("found")
				s.Until(time.Second, func() bool { return false })
			default:
				for {
					runtime.Gosched()
				}
			}
		}})
		return
	}
	for how, c := range map[string]struct{ want, timeout string }{
		"panic": {"seeds 1 2 3 4panic: found", "1m"},
		"hang":  {"seeds 1 2 3 4panic: test timed out", "2s"}, // in which a busy machine comes to seed 4
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout="+c.timeout)
		cmd.Env = append(os.Environ(), "SIM_TEST_BAD="+how, "SIM_SEED=", "SIM_SEEDS=9", "SIM_FIRST=")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, no %q in\n%.500s", how, err, c.want, out)
		}
	}
}

// TestEveryTenthRunIsMadeUnderTheRaceDetector, of the known cases and of the seeds, two of each at
// the least, unless a number of seeds is asked for.
func TestEveryTenthRunIsMadeUnderTheRaceDetector(t *testing.T) {
	all := func(n uint64) (seeds []uint64) {
		for seed := range n {
			seeds = append(seeds, seed+1)
		}
		return seeds
	}
	for _, name := range []string{"SIM_SEED", "SIM_FIRST", "SIM_FIND"} {
		t.Setenv(name, "")
	}
	for _, c := range []struct {
		runs      uint64
		underRace []uint64
	}{
		{0, nil},
		{1, []uint64{1}},
		{2, []uint64{1, 2}},
		{3, []uint64{1, 3}},
		{18, []uint64{1, 10}},
		{19, []uint64{1, 11}},
		{20, []uint64{1, 11}},
		{21, []uint64{1, 11, 21}},
		{150, []uint64{1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 101, 111, 121, 131, 141}},
	} {
		const known = 1000 // and more: seeds of known cases
		var got []uint64
		w := World{Seeds: int(c.runs), Run: func(s *Sim) { got = append(got, s.Seed()) }}
		for seed := range c.runs {
			w.Known = append(w.Known, Case{Seed: known + seed + 1})
		}
		for asked, of := range map[string]uint64{"": c.runs, "5": 5, "40": 40} {
			cases, seeds := all(c.runs), all(of)
			if raceEnabled && asked == "" {
				cases, seeds = c.underRace, c.underRace
			}
			var want []uint64
			for _, seed := range cases {
				want = append(want, known+seed)
			}
			want = append(want, seeds...)
			got = nil
			t.Setenv("SIM_SEEDS", asked)
			Test(t, w)
			if !slices.Equal(got, want) {
				t.Errorf("of %d known cases and as many seeds, asked for %q: %d, want %d", c.runs, asked, got, want)
			}
		}
	}
}

func TestDiceDependOnSeedAndNameAlone(t *testing.T) {
	draw := func(seed uint64, name string) uint64 { return (&Sim{seed: seed}).Dice(name).Uint64() }
	once, again := draw(1, "a"), draw(1, "a")
	if once != again {
		t.Error("one name, two draws")
	}
	if draw(1, "a") == draw(2, "a") || draw(1, "a") == draw(1, "b") {
		t.Error("another seed or name, the same draw")
	}
}

// TestAMixKeepsItsBounds: kinds, nodes, number and times.
func TestAMixKeepsItsBounds(t *testing.T) {
	m := Mix{Nodes: []string{"a", "b", "c"}, Kinds: []Kind{Cut, Crash, Slow}, Max: 5, During: time.Second, Longest: time.Minute}
	most, alone := 0, map[Kind]int{}
	for seed := range uint64(500) {
		faults := m.Draw((&Sim{seed: seed}).Dice("faults"))
		most = max(most, len(faults))
		kinds := map[Kind]bool{}
		for _, f := range faults {
			kinds[f.Kind] = true
			if f.At < 0 || f.At >= m.During || f.For < 10*time.Millisecond || f.For > m.Longest || !slices.Contains(m.Kinds, f.Kind) ||
				f.From == f.To || !slices.Contains(m.Nodes, f.From) || (f.To != "") != (f.Kind != Crash) {
				t.Fatalf("seed %d: %+v", seed, f)
			}
		}
		if len(kinds) == 1 {
			for k := range kinds {
				alone[k]++
			}
		}
	}
	if most != m.Max || len(alone) != len(m.Kinds) {
		t.Errorf("at most %d faults, kinds that came alone: %v", most, alone)
	}
}

func TestAFaultWhileUpDoesNotHappenAtANodeThatIsDown(t *testing.T) {
	s, refuse := &Sim{down: map[string]bool{}}, error(nil)
	h := s.WhileUp(func(Fault) (func(), error) { return func() {}, refuse })
	other := s.WhileUp(func(Fault) (func(), error) { return func() {}, nil })
	end, err := h(Fault{From: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]Handler{"the same": h, "another": other} {
		if _, err := h(Fault{From: "a"}); err == nil {
			t.Errorf("%s handler, while a is down: no error", name)
		}
	}
	if _, err := other(Fault{From: "b"}); err != nil {
		t.Errorf("another node: %v", err)
	}
	end()
	refuse = errors.New("not this one")
	if _, err := h(Fault{From: "a"}); err != refuse {
		t.Errorf("when a is up again: %v", err)
	}
	if _, err := other(Fault{From: "a"}); err != nil {
		t.Errorf("after one that did not happen: %v", err)
	}
}
