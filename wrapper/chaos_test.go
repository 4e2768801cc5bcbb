package wrapper_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

// world is five servers and three clients, each a process.
type world struct {
	t       *testing.T
	dir     string
	ports   [5]string
	servers [5]*servertest.Process
	clients [3]*servertest.Process
	outages [][2]time.Time // when nobody could answer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	var addrs []string
	for i := range w.servers {
		w.ports[i] = fmt.Sprint(servertest.Port(t))
		w.start(i)
		addrs = append(addrs, w.servers[i].Line())
	}
	for i := range w.clients {
		w.clients[i] = servertest.Child(t, "chaos client", append([]string{fmt.Sprint("client", i)}, addrs...)...)
	}
	for _, c := range w.clients {
		c.Line()
	}
	return w
}

// file is where a server notes the POSTs that it does.
func (w *world) file(i int) string { return filepath.Join(w.dir, fmt.Sprint("done", i)) }

func (w *world) start(i int) {
	w.servers[i] = servertest.Child(w.t, "chaos server", w.ports[i], w.file(i))
}

func (w *world) told(mode string, each ...int) {
	for _, i := range each {
		w.servers[i].Send(mode)
	}
}

func rest(d time.Duration) { <-time.After(d) }

// beyond is longer than the deadline of a call: one that only waits fails.
const beyond = chaosDeadline + 200*time.Millisecond

// killed ends a server in the middle of a POST, which is sent then and must not
// be sent again.
func (w *world) killed(i int) {
	w.told("die", i)
	for end := time.Now().Add(time.Second); w.servers[i].Running() && time.Now().Before(end); {
		rest(time.Millisecond)
	}
	w.again(i, 100*time.Millisecond)
}

// refused kills a server while there are only POSTs: each client's first call
// that finds nobody there is one. It was not sent, and goes elsewhere.
func (w *world) refused(i int) {
	w.say("POST")
	w.again(i, 250*time.Millisecond)
	w.say("both")
}

// again starts a server again that was dead for a while.
func (w *world) again(i int, dead time.Duration) {
	w.servers[i].Kill()
	rest(dead)
	w.start(i)
	w.servers[i].Line()
}

// silent does what it is asked, and answers nobody. A POST that is sent to a
// second server then is done twice.
func (w *world) silent(i int) {
	w.say("POST")
	w.told("hole", i)
	rest(beyond)
	w.told("well", i)
	w.say("both")
}

// stopped is SIGSTOP: the kernel accepts connections, and nobody answers. A GET
// is rescued by a second server.
func (w *world) stopped(i int) {
	w.say("GET")
	w.servers[i].Pause()
	rest(beyond)
	w.servers[i].Resume()
	w.say("both")
}

func (w *world) say(what string) {
	for _, c := range w.clients {
		c.Send(what)
	}
}

// poor is one slow server, and one that answers three of ten with an error.
func (w *world) poor(i int) {
	j := (i + 1) % len(w.servers)
	w.told("slow", i)
	w.told("errors", j)
	rest(400 * time.Millisecond)
	w.told("well", i, j)
}

func (w *world) outage(int) {
	start := time.Now()
	w.told("outage", 0, 1, 2, 3, 4)
	rest(300 * time.Millisecond)
	w.told("well", 0, 1, 2, 3, 4)
	w.outages = append(w.outages, [2]time.Time{start, time.Now()})
	rest(chaosDeadline)
}

// mostLag is how long the machine may keep a process waiting for its turn in a
// run whose times are to be judged: a call goes through ten such turns.
const mostLag = 50 * time.Millisecond

// judged are the failures that no outage explains (breakers and ejections have to
// notice its end), and no machine that had no time for the processes.
func (w *world) judged(all []failure) (out []string) {
	for _, f := range all {
		excused := f.Lag > mostLag
		for _, o := range w.outages {
			excused = excused || f.End.After(o[0]) && f.End.Before(o[1].Add(chaosDeadline/2))
		}
		if !excused {
			out = append(out, f.String())
		}
	}
	return out
}

// end ends the clients and returns what they saw.
func (w *world) end() tallied {
	var sum tallied
	for i, c := range w.clients {
		c.Send("end")
		var one tallied
		if err := json.Unmarshal([]byte(c.Line()), &one); err != nil {
			w.t.Fatal(err)
		}
		w.t.Logf("client %d: %d GETs, %d failed, %d rescued; %d POSTs, %d answered, %d turned, %d cut; the machine was late by %v at the most",
			i, one.Gets, len(one.Failed), one.Rescued, one.Posts, len(one.Done), one.Turned, one.Cut, one.Lag)
		sum.add(one)
	}
	return sum
}

// done is how often each POST was done, by its id.
func (w *world) done() map[string]int {
	done := map[string]int{}
	for i := range w.servers {
		b, err := os.ReadFile(w.file(i))
		if err != nil {
			w.t.Fatal(err)
		}
		for id := range strings.FieldsSeq(string(b)) {
			done[id]++
		}
	}
	return done
}

// One fault after the other, and clients that know nothing of them. While
// another instance can answer, no idempotent call fails, and no POST of which
// nothing was sent; no POST is done twice, and each that was answered was done;
// no call outlives its deadline, and no answer is good and empty.
func TestNothingIsLostOrDoneTwiceUnderChaos(t *testing.T) {
	length := servertest.Chaos(t)
	w := newWorld(t)
	rest(600 * time.Millisecond) // what is usual is learnt
	// Each of the five at another server: one that failed is not called for a while.
	faults := []func(i int){w.killed, w.refused, w.silent, w.stopped, w.refused, w.killed, w.poor, w.outage}
	first := rand.IntN(len(w.servers))
	for n, end := 0, time.Now().Add(length); n < len(faults) || time.Now().Before(end); n++ {
		faults[n%len(faults)]((first + n) % len(w.servers))
		rest(100 * time.Millisecond)
	}
	rest(chaosDeadline / 2) // a call that waits for the one that was stopped would fail now
	sum, done := w.end(), w.done()

	if failed := w.judged(sum.Failed); len(failed) > 0 {
		t.Errorf("%d of %d idempotent calls failed while another instance could answer:\n%s", len(failed), sum.Gets, strings.Join(failed, "\n"))
	}
	if n := len(sum.Refused); n > 0 {
		t.Errorf("%d of %d POSTs failed although nothing was sent:\n%s", n, sum.Posts, strings.Join(sum.Refused, "\n"))
	}
	if sum.Empty > 0 {
		t.Errorf("%d answers were 200 and empty", sum.Empty)
	}
	if late := w.judged(sum.Late); len(late) > 0 {
		t.Errorf("%d calls outlived their deadline:\n%s", len(late), strings.Join(late, "\n"))
	}
	for id, n := range done {
		if n > 1 {
			t.Errorf("POST %s was done %d times", id, n)
		}
	}
	for _, id := range sum.Done {
		if done[id] == 0 {
			t.Errorf("POST %s was answered, and not done", id)
		}
	}
	// A run in which no fault was felt shows nothing.
	if sum.Turned == 0 || sum.Cut == 0 || sum.Rescued == 0 || len(sum.Done) < 50 || sum.Gets < 100 {
		t.Errorf("%d POSTs went elsewhere after a refused connection, %d were cut, %d GETs were rescued, %d POSTs answered, %d GETs made: too few to show anything",
			sum.Turned, sum.Cut, sum.Rescued, len(sum.Done), sum.Gets)
	}
}
