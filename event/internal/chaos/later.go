package chaos

import (
	"bufio"
	"cmp"
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// What a worker does is written down in two places. Its effects are rows of a
// database, each in the transaction of the inbox:
//
//	effects   id, subject, n, due, at: a record was handled, at a time in milliseconds
//
// What the stream has taken is lines of a file, each written when a call has returned:
//
//	published <id> | cancelled <id> | attempt <id>

const laterGroup = "later"

// Later says how RunLater does its work.
type Later struct {
	Role    string        // of Worker
	Args    []string      // of Open
	Kind    sql.Kind      // of the inbox's database
	Address string        // of that; "": a file of SQLite
	Workers int           // at a time; 1 for a stream of one process
	For     time.Duration // how long to publish and to kill
	Restart func()        // a server; nil: none
}

// Worker is the role of a child that publishes, now and later, cancels some of it,
// and is a member of a divided group that handles each record once. Its arguments
// are the file, the kind and address of the inbox's database, and those of open.
func Worker(open Open) servertest.Role {
	return func(args []string) error {
		file, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		s, err := open(args[3:])
		if err != nil {
			return err
		}
		db, err := sql.Open(sql.Config{Kind: kindOf(args[1]), Address: args[2]})
		if err != nil {
			return err
		}
		defer db.Close()
		w := &worker{s: s, db: db.DB, kind: kindOf(args[1]), file: file, name: event.NewID()[24:]}
		if err := w.subscribe(); err != nil {
			return err
		}
		fmt.Println("ready")
		stop := make(chan struct{})
		var publishing sync.WaitGroup
		publishing.Go(func() { w.now(stop) })
		publishing.Go(func() { w.later(stop) })
		in := bufio.NewReader(os.Stdin)
		in.ReadString('\n')
		close(stop)
		publishing.Wait()
		fmt.Println("stopped")
		in.ReadString('\n')
		return s.Close(context.Background())
	}
}

func kindOf(name string) sql.Kind {
	for _, k := range []sql.Kind{sql.SQLite, sql.MySQL, sql.Postgres} {
		if k.String() == name {
			return k
		}
	}
	return sql.SQLite
}

type worker struct {
	s    event.Stream
	db   *dbsql.DB
	kind sql.Kind
	file *os.File
	name string // of this process, in keys
}

func (w *worker) subscribe() error {
	for end := time.Now().Add(25 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		box, err := inbox.New(ctx, engine.FromDB(engine.Dialect(w.kind), w.db), laterGroup)
		if err == nil {
			_, err = w.s.Subscribe(ctx, w.handler(box), event.Group(laterGroup), event.From(event.Beginning()), event.Types("work"),
				event.Ordered(event.BySubject), event.Partitions(4), event.Concurrency(2), event.AckWait(ackWait), event.MaxAttempts(0),
				event.Backoff(time.Millisecond, 50*time.Millisecond))
		}
		if err == nil || time.Now().After(end) {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// handler notes the effect of a record, and now and then fails after it.
func (w *worker) handler(box *inbox.Inbox) event.Handler {
	insert := w.kind.Rebind("INSERT INTO effects (id, subject, n, due, at) VALUES (?, ?, ?, ?, ?)")
	handle := box.Handler(func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error {
		var n, due int64
		fmt.Sscan(string(r.Data), &n, &due)
		if _, err := tx.ExecContext(ctx, insert, r.ID, r.Subject, n, due, time.Now().UnixMilli()); err != nil {
			return err
		}
		if rand.IntN(50) == 0 {
			return errors.New("after its effect, in the transaction")
		}
		return nil
	})
	return func(ctx context.Context, r *event.Record) error {
		w.note("attempt", r.ID)
		if err := handle(ctx, r); err != nil {
			return err
		}
		if rand.IntN(50) == 0 {
			return errors.New("after the transaction")
		}
		return nil
	}
}

// note writes a line, with one write.
func (w *worker) note(what, id string) { fmt.Fprintf(w.file, "%s %s\n", what, id) }

// catchUp waits, now and then, until the group is not too far behind.
func (w *worker) catchUp(stop <-chan struct{}, n int) {
	if n%20 == 0 {
		catchUp(stop, w.s, laterGroup)
	}
}

// now publishes records of a few keys, each numbered.
func (w *worker) now(stop <-chan struct{}) {
	for n := 1; ; n++ {
		w.catchUp(stop, n)
		var rs []*event.Record
		for k := range 5 {
			rs = append(rs, &event.Record{ID: fmt.Sprint(w.name, "-", k, "-", n), Type: "work", Subject: fmt.Sprint(w.name, "-", k), Data: fmt.Append(nil, n, " ", 0)})
		}
		// Until it is certain: what comes after must not pass it.
		if _, done := insist(nil, func(ctx context.Context) error { return w.s.Publish(ctx, rs...) }); done {
			for _, r := range rs {
				w.note("published", r.ID)
			}
		}
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// later schedules records, some of them into the past and some that it cancels.
func (w *worker) later(stop <-chan struct{}) {
	for n := 1; ; n++ {
		w.catchUp(stop, n)
		id := fmt.Sprint(w.name, "-later-", n)
		at := time.Now().Add(time.Duration(rand.IntN(1500)-100) * time.Millisecond)
		due := at.UnixMilli() // rounded down: it is published in the next one at the earliest
		r := &event.Record{ID: id, Type: "work", Subject: fmt.Sprint(w.name, "-later"), Data: fmt.Append(nil, 0, " ", due)}
		atOnce, done := insist(stop, func(ctx context.Context) error { return w.s.PublishAt(ctx, at, r) })
		cancelled := false
		if done && atOnce && n%4 == 0 {
			_, cancelled = insist(stop, func(ctx context.Context) error { return w.s.Cancel(ctx, id) })
		}
		switch {
		case cancelled:
			w.note("cancelled", id)
		case done && n%4 != 0:
			w.note("published", id)
		}
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// RunLater has workers publish and handle, while it kills them and the server, and
// checks that what the stream has taken is handled: all of it, once, in the order of
// each key, not before its time, and nothing that was cancelled.
func RunLater(t *testing.T, l Later) {
	dir := t.TempDir()
	file := filepath.Join(dir, "calls")
	address := cmp.Or(l.Address, filepath.Join(dir, "effects.db"))
	db, err := sql.Open(sql.Config{Kind: l.Kind, Address: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.DB.ExecContext(t.Context(), "CREATE TABLE effects (id VARCHAR(80) NOT NULL, subject VARCHAR(80) NOT NULL, n BIGINT NOT NULL, due BIGINT NOT NULL, at BIGINT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	start := func() *servertest.Process {
		p := servertest.Child(t, l.Role, append([]string{file, l.Kind.String(), address}, l.Args...)...)
		if line := p.Line(); line != "ready" {
			t.Fatalf("a worker said %q", line)
		}
		return p
	}
	var workers []*servertest.Process
	for range l.Workers {
		workers = append(workers, start())
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	kills, restarts := 0, 0
	for began := time.Now(); time.Since(began) < l.For; {
		<-time.After(time.Duration(200+rnd.IntN(600)) * time.Millisecond)
		if l.Restart != nil && (kills+restarts)%3 == 2 {
			l.Restart()
			restarts++
			continue
		}
		kills++
		i := rnd.IntN(len(workers))
		workers[i].Kill() // kill -9, in the middle of what it does
		workers[i] = start()
	}
	for _, w := range workers {
		w.Send("stop publishing")
		if line := w.Line(); line != "stopped" {
			t.Fatalf("a worker said %q", line)
		}
	}
	calls := readCalls(t, file)
	if len(calls["published"]) == 0 || len(calls["cancelled"]) == 0 {
		t.Fatalf("%d published and %d cancelled: nothing was tried", len(calls["published"]), len(calls["cancelled"]))
	}
	all := readEffects(t, db.DB)
	behind := missing(calls["published"], all)
	for left, deadline := behind, time.Now().Add(time.Minute); left > 0; {
		<-time.After(50 * time.Millisecond)
		all = readEffects(t, db.DB)
		n := missing(calls["published"], all)
		if n < left {
			left, deadline = n, time.Now().Add(time.Minute)
		}
		if time.Now().After(deadline) {
			t.Errorf("%d of %d records are not handled, and none was for a minute", left, len(calls["published"]))
			break
		}
	}
	for _, w := range workers {
		w.Send("end")
	}
	checkEffects(t, calls, all)
	t.Logf("%d published, %d of them unhandled when that ended, %d cancelled, %d workers killed, %d restarts: %d handled in %d attempts",
		len(calls["published"]), behind, len(calls["cancelled"]), kills, restarts, len(all), len(readCalls(t, file)["attempt"]))
}

// effect is a row.
type effect struct {
	id, key    string
	n, due, at int64
}

func readEffects(t *testing.T, db *dbsql.DB) (list []effect) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT id, subject, n, due, at FROM effects ORDER BY at, n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e effect
		if err := rows.Scan(&e.id, &e.key, &e.n, &e.due, &e.at); err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// readCalls returns the ids of each kind of line.
func readCalls(t *testing.T, name string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if what, id, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok && strings.HasSuffix(line, "\n") {
			calls[what] = append(calls[what], id)
		}
	}
	return calls
}

func missing(ids []string, all []effect) int {
	handled := map[string]bool{}
	for _, e := range all {
		handled[e.id] = true
	}
	n := 0
	for _, id := range ids {
		if !handled[id] {
			n++
		}
	}
	return n
}

// checkEffects checks everything but that nothing is missing.
func checkEffects(t *testing.T, calls map[string][]string, all []effect) {
	t.Helper()
	times, next := map[string]int{}, map[string]int64{}
	twice, early, order := 0, 0, 0
	for _, e := range all {
		times[e.id]++
		if times[e.id] == 2 {
			twice++
		}
		if e.at < e.due {
			early++
		}
		if e.n > 0 {
			next[e.key]++
			if e.n != next[e.key] {
				order++
			}
		}
	}
	taken := 0
	for _, id := range calls["cancelled"] {
		if times[id] > 0 {
			taken++
		}
	}
	for what, n := range map[string]int{"handled twice": twice, "handled before their time": early, "handled out of the order of their key": order, "handled though cancelled": taken} {
		if n > 0 {
			t.Errorf("%d records were %s", n, what)
		}
	}
}
