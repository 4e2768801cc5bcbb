package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// arena is one run: contenders of one lock, each behind a proxy of its own.
type arena struct {
	*testing.T
	target
	*resource
	dice      *rand.Rand
	links     []*netfault.Proxy // of all members
	fail      func() server
	processes []*servertest.Process
	addrs     []string
	perLink   []string // the address that contender i is given
}

// crowd is how many contenders there are.
func (tg target) crowd() int { return max(tg.contenders, 4) }

func newArena(t *testing.T, tg target) *arena {
	a := &arena{T: t, target: tg, resource: newResource(t), dice: dice(t)}
	a.addrs, a.fail = tg.start(t)
	for i := range tg.crowd() {
		var links []string
		for _, addr := range a.addrs {
			p := netfault.New(t, addr)
			a.links = append(a.links, p)
			links = append(links, p.Addr())
		}
		a.perLink = append(a.perLink, strings.Join(links, ","))
		a.processes = append(a.processes, a.contender(i))
	}
	a.progress(tg.crowd())
	return a
}

func (a *arena) contender(i int) *servertest.Process {
	return servertest.Child(a.T, "contender", a.backend, a.perLink[i], a.ttl.String(), a.listener.Addr().String(), strconv.Itoa(i))
}

// progress waits for n more critical sections.
func (a *arena) progress(n int) {
	a.Helper()
	want := a.sections() + n
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for a.sections() < want {
		select {
		case <-tick.C:
		case <-deadline:
			a.Fatalf("no progress: %d critical sections, want %d", a.sections(), want)
		}
	}
}

// wait lets the contenders run, for between low and high TTLs.
func (a *arena) wait(low, high float64) {
	d := low + a.dice.Float64()*(high-low)
	<-time.After(time.Duration(d * float64(a.ttl)))
}

// link is a random contender's.
func (a *arena) link() *netfault.Proxy { return a.links[a.dice.IntN(len(a.links))] }

type fault struct {
	name string
	run  func(a *arena)
}

// networkFaults leave the contenders running. Each ends with what it began.
var networkFaults = []fault{
	{"hold a link", func(a *arena) { l := a.link(); l.Hold(netfault.Both); a.wait(0.5, 2); l.Heal() }},
	{"hold replies", func(a *arena) { l := a.link(); l.Hold(netfault.Replies); a.wait(0.5, 2); l.Heal() }},
	{"drop on a link", func(a *arena) { l := a.link(); l.Drop(netfault.Both); a.wait(0.5, 1.5); l.Heal() }},
	{"cut replies", func(a *arena) { l := a.link(); l.CutReplies(1 + a.dice.IntN(5)); a.wait(0.2, 0.8); l.Heal() }},
	{"reset all links", func(a *arena) {
		for _, l := range a.links {
			l.Reset()
		}
	}},
	{"delay a link", func(a *arena) { l := a.link(); l.Delay(a.ttl/20, a.ttl/20); a.wait(0.5, 1.5); l.Heal() }},
}

var pause = fault{"pause the server", func(a *arena) { s := a.fail(); s.Pause(); a.wait(0.2, 2); s.Resume() }}

var restart = fault{"kill and restart the server", func(a *arena) { s := a.fail(); s.Kill(); a.wait(0.1, 1); s.Restart() }}

// processFaults stop holders where they stand.
var processFaults = []fault{
	{"pause a holder", (*arena).pauseHolder},
	{"pause somebody", func(a *arena) {
		p := a.processes[a.dice.IntN(a.crowd())]
		p.Pause()
		a.wait(1, 3)
		p.Resume()
	}},
	{"kill somebody", func(a *arena) {
		i := a.dice.IntN(a.crowd())
		begin := now()
		a.processes[i].Kill()
		a.end(i, begin, now())
		a.processes[i] = a.contender(i)
	}},
}

// pauseHolder stops a contender in its critical section, until others have gone
// through theirs and its write comes too late. What one that was killed had sent
// may look like a holder: then it is done again.
func (a *arena) pauseHolder() {
	before := a.late()
	for range 5 {
		paused := make(chan int, 1)
		a.next(func(client int) {
			a.processes[client].Pause()
			paused <- client
		})
		select {
		case client := <-paused:
			a.progress(3)
			a.processes[client].Resume()
		case <-time.After(30 * time.Second):
			a.Fatal("nobody took the lock")
		}
		for range 100 {
			if a.late() > before {
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	a.Fatal("a holder was paused five times, and never wrote late")
}

// inject lets every fault happen at least once, in random order, and goes on for
// as long as CHAOS says.
func (a *arena) inject(faults []fault) {
	for end := time.Now().Add(long(a.T)); ; {
		for _, i := range a.dice.Perm(len(faults)) {
			start, before := time.Now(), a.sections()
			faults[i].run(a)
			a.wait(0.1, 0.3)
			if a.Failed() {
				return
			}
			if testing.Verbose() {
				a.Logf("%s: %v, %d sections", faults[i].name, time.Since(start).Round(time.Millisecond), a.sections()-before)
			}
		}
		if !time.Now().Before(end) {
			break
		}
	}
	a.progress(a.crowd()) // all is well in the end
}

// check wants the history to be legal, or illegal.
func (a *arena) check(what string, model porcupine.Model, history []porcupine.Operation, want porcupine.CheckResult) {
	a.Helper()
	got, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
	a.Logf("%s: %d operations, %s", what, len(history), got)
	if got == want {
		return
	}
	a.Errorf("%s: %d operations are %s, want %s", what, len(history), got, want)
	path := filepath.Join(os.TempDir(), fmt.Sprintf("chaos-%s-%s.html", strings.ReplaceAll(a.name, " ", "-"), strings.ReplaceAll(what, " ", "-")))
	if err := porcupine.VisualizePath(model, info, path); err == nil {
		a.Logf("see %s", path)
	}
}

// stop ends the histories, then the contenders: what one that is killed did
// last would not be known.
func (a *arena) stop() {
	a.resource.mu.Lock()
	for _, p := range a.processes {
		p.Kill()
	}
}

// The fenced counter is right whatever happens, and the naive one is not: the
// faults are real.
func TestFencedCounterLosesNothingAndTheNaiveOneDoes(t *testing.T) {
	t.Parallel()
	for _, tg := range chosen(t) {
		t.Run(tg.name, func(t *testing.T) {
			t.Parallel()
			a := newArena(t, tg)
			faults := append([]fault{restart, pause}, processFaults...)
			if long(t) > 0 { // the network's are in the other test
				faults = append(faults, networkFaults...)
			}
			a.inject(faults)
			a.stop()
			defer a.resource.mu.Unlock()
			a.check("fenced counter", counter, a.fencedOps, porcupine.Ok)
			a.check("tokens", tokens, a.grants, porcupine.Ok)
			a.check("naive counter (control)", counter, a.naiveOps, porcupine.Illegal)
			a.check("mutex under pauses (control)", mutex, a.beliefs, porcupine.Illegal)
		})
	}
}

// As long as no process is paused, nobody believes that he holds the lock while
// somebody else does, and so even the naive counter is right.
func TestBeliefsNeverOverlapUnderNetworkFaults(t *testing.T) {
	t.Parallel()
	for _, tg := range chosen(t) {
		if tg.forgets { // a server without its data gives a held lock away
			continue
		}
		t.Run(tg.name, func(t *testing.T) {
			t.Parallel()
			a := newArena(t, tg)
			faults := append([]fault{restart}, networkFaults...)
			if !tg.revokes {
				faults = append(faults, pause)
			}
			a.inject(faults)
			a.stop()
			defer a.resource.mu.Unlock()
			a.check("mutex", mutex, a.beliefs, porcupine.Ok)
			a.check("tokens", tokens, a.grants, porcupine.Ok)
			a.check("fenced counter", counter, a.fencedOps, porcupine.Ok)
		})
	}
}
