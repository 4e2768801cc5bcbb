// Package chaos kills consumers and servers under a stream, and checks that
// every record that was published is handled, that each key keeps its order, and
// that poison ends in the dead letters.
package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/servertest"
)

// Open opens the stream from a child's first arguments.
type Open func(args []string) (event.Stream, error)

const (
	keys     = 20
	ackWait  = 1500 * time.Millisecond
	attempts = 10 // more often than members are killed, one after the other, before they get on
)

// Consumer is the role of a child: a member of an ordered group that notes
// every record it has handled in a file. Its arguments are the file, and
// those of open.
func Consumer(open Open) servertest.Role {
	return func(args []string) error {
		// One write is one line, also when several processes write.
		file, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		s, err := open(args[1:])
		if err != nil {
			return err
		}
		for end := time.Now().Add(25 * time.Second); ; {
			_, err = s.Subscribe(context.Background(), func(_ context.Context, r *event.Record) error {
				if r.Subject == "poison" {
					return errors.New("can't be handled")
				}
				_, err := fmt.Fprintf(file, "%s %s\n", r.Subject, r.Data)
				return err
			}, event.Group("g"), event.From(event.Beginning()), event.Types("work"), event.Ordered(event.BySubject), event.Concurrency(4),
				event.AckWait(ackWait), event.MaxAttempts(attempts), event.Backoff(time.Millisecond, 10*time.Millisecond))
			if err == nil {
				break
			}
			// SQLite's lock is not fair: many who write may keep one out.
			if !errors.Is(err, event.ErrUnavailable) || time.Now().After(end) {
				return err
			}
		}
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
		return s.Close(context.Background())
	}
}

// Run publishes for d, or total records if that is more than 0, while it kills
// consumers of the role and, if restart is not nil, the server.
func Run(t *testing.T, s event.Stream, role string, args []string, d time.Duration, total int, restart func()) {
	handled := filepath.Join(t.TempDir(), "handled")
	start := func() *servertest.Process {
		p := servertest.Child(t, role, append([]string{handled}, args...)...)
		if line := p.Line(); line != "ready" {
			t.Fatalf("a consumer said %q", line)
		}
		return p
	}
	children := []*servertest.Process{start(), start()}
	rnd := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	var published, poison atomic.Int64
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		next := [keys]int{}
		for n := 0; total > 0 && n < total || total == 0; n += 100 {
			select {
			case <-stop:
				return
			default:
			}
			if n%1000 == 0 {
				catchUp(stop, s, "g")
			}
			rs := make([]*event.Record, 100)
			for i := range rs {
				k := (n + i) % keys
				next[k]++
				rs[i] = &event.Record{ID: event.NewID(), Type: "work", Subject: fmt.Sprint("k", k), Data: fmt.Append(nil, next[k])}
			}
			if n%1000 == 0 {
				rs = append(rs, &event.Record{ID: event.NewID(), Type: "work", Subject: "poison"})
				poison.Add(1)
			}
			for { // an outcome that is unknown is published again
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				err := s.Publish(ctx, rs...)
				cancel()
				if err == nil {
					break
				}
				if errors.Is(err, event.ErrInvalid) || errors.Is(err, event.ErrClosed) {
					t.Error(err)
					return
				}
				<-time.After(20 * time.Millisecond)
			}
			published.Add(100)
		}
	}()
	kills, restarts := 0, 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Duration(200+rnd.IntN(600)) * time.Millisecond):
			if total == 0 && time.Since(began) > d {
				close(stop)
				<-done
				running = false
				break
			}
			kills++
			if restart != nil && kills%3 == 2 {
				restart()
				restarts++
				continue
			}
			i := rnd.IntN(len(children))
			children[i].Kill() // kill -9, in the middle of what it does
			children[i] = start()
		}
	}
	n := int(published.Load())
	want := map[string]int{}
	for k := range keys {
		want[fmt.Sprint("k", k)] = n / keys
	}
	var last map[string]int
	var lines int
	least := n + 1
	for deadline := time.Now().Add(time.Minute); ; {
		last, lines = read(t, handled)
		missing := 0
		for k, w := range want {
			missing += w - last[k]
		}
		if missing == 0 {
			break
		}
		if missing < least {
			least, deadline = missing, time.Now().Add(time.Minute)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records are not handled, and none was for a minute: %v", missing, n, last)
		}
		<-time.After(50 * time.Millisecond)
	}
	dead := map[string]bool{}
	for deadline := time.Now().Add(60 * time.Second); ; {
		clear(dead)
		for r, err := range s.Query(t.Context(), event.Types("dead.g")) {
			if err != nil {
				break
			}
			dead[r.Metadata[event.DeadID]] = true
		}
		if int64(len(dead)) == poison.Load() || time.Now().After(deadline) {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	if int64(len(dead)) != poison.Load() {
		t.Errorf("%d of %d poison records are in the dead letters", len(dead), poison.Load())
	}
	t.Logf("%d records in %v, %d consumers killed, %d restarts: %d handled, of them %d again", n, time.Since(began).Round(time.Millisecond), kills-restarts, restarts, lines, lines-n)
}

// read returns how far each key has come, and the number of lines. A record is
// never handled for the first time before the one before it.
func read(t *testing.T, name string) (last map[string]int, lines int) {
	b, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	last = map[string]int{}
	for line := range strings.Lines(string(b)) {
		key, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil || !strings.HasSuffix(line, "\n") {
			continue // being written
		}
		lines++
		if n > last[key]+1 {
			t.Fatalf("%s: %d was handled after %d", key, n, last[key])
		}
		if n == last[key]+1 {
			last[key] = n
		}
	}
	return last, lines
}

// Records is how many records a run publishes: EVENT_CHAOS_RECORDS, or 0 for
// as many as fit into the time.
func Records() int {
	n, _ := strconv.Atoi(os.Getenv("EVENT_CHAOS_RECORDS"))
	return n
}
