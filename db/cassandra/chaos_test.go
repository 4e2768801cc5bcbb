package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/internal/servertest"
)

// TestThreeNodesChaos has three nodes with a copy of each record on every one, which speak TLS
// with clients and among themselves, and ask for passwords: all other tests, writers of one record
// while a node is killed, and writers of many while one node after another is killed or stopped. A
// majority is there all the time, so that writes go on, and nothing that was acknowledged is lost.
func TestThreeNodesChaos(t *testing.T) {
	if os.Getenv("CHAOS") == "" {
		t.Skip("three servers, for minutes: make cassandra, or make chaos")
	}
	certs := servertest.NewCerts(t)
	three := nodes{servertest.CassandraCluster(t, servertest.WithTLS(certs), servertest.WithPassword()), certs}
	for _, s := range three.all {
		eventually(t, "the node sees the others", func() bool { return peers(t, three, s.Addr()) == 2 })
	}
	t.Run("Everything", func(t *testing.T) { everything(t, three) })
	backend := three.backend(cassandra.WithConsistency(gocql.Quorum), cassandra.WithTimeout(5*time.Second)) // of a node that says nothing
	t.Run("ANodeFailsUnderFiftyWriters", func(t *testing.T) { nodeFailsUnderWriters(t, three.all[2], backend) })
	t.Run("NodesFail", func(t *testing.T) { nodesFail(t, three.all, backend) })
}

// peers returns how many other nodes one knows of.
func peers(t *testing.T, all nodes, addr string) (n int) {
	c := all.config(addr)
	c.DisableInitialHostLookup = true
	s, err := c.CreateSession()
	if err != nil {
		return 0
	}
	defer s.Close()
	must(t, s.Query("SELECT COUNT(*) FROM system.peers_v2").Scan(&n))
	return n
}

// nodeFailsUnderWriters has fifty writers, in three processes as far as the database can
// tell, change one record while a node is killed. Each adds one to the sum, and to a count of its own.
func nodeFailsUnderWriters(t *testing.T, node *servertest.Server, backend db.Option) {
	_, tb, ns := open(t, backend)
	tables := []db.Table{tb}
	for range 2 {
		_, tb := openIn(t, ns, backend)
		tables = append(tables, tb)
	}
	first := &db.Record{ID: "all"}
	must(t, tb.Create(t.Context(), first))
	const writers, each = 50, 2
	own := func(w int) string { return fmt.Sprintf("w%d", w) }
	var mu sync.Mutex
	var acked [writers]int64
	versions, unknown, undone := map[uint64]bool{}, 0, 0
	tried := make(chan struct{}, writers*each)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				r, err := tables[w%len(tables)].Patch(context.Background(), "all", db.Increment("n", 1), db.Increment(own(w), 1))
				mu.Lock()
				switch {
				case errors.Is(err, db.ErrUnknownOutcome):
					unknown++
				case errors.Is(err, db.ErrUnavailable), errors.Is(err, db.ErrConflict): // others were faster all the time
					undone++
				case err != nil:
					t.Errorf("writer %d: %v, want ErrUnavailable, ErrConflict or ErrUnknownOutcome", w, err)
				case versions[r.Version]:
					t.Errorf("version %d was made twice", r.Version)
				default:
					acked[w]++
					versions[r.Version] = true
				}
				mu.Unlock()
				tried <- struct{}{}
			}
		})
	}
	for range writers / 2 {
		<-tried
	}
	node.Kill()
	wg.Wait()
	node.Restart()
	var r *db.Record
	eventually(t, "the record is read", func() bool {
		var err error
		r, err = tb.Read(t.Context(), "all")
		return err == nil
	})
	sum := int64(0)
	for w, n := range acked {
		has, _ := r.Metadata[own(w)].(int64)
		if has < n || has > each {
			t.Errorf("writer %d: %d writes are there, %d were acknowledged", w, has, n)
		}
		sum += has
	}
	if n := r.Metadata["n"]; n != sum || r.Version != first.Version+uint64(sum) {
		t.Errorf("the writers' counts are %d together, the sum is %v, and the version %d after %d", sum, n, r.Version, first.Version)
	}
	if len(versions) == 0 {
		t.Errorf("none of %d writes was acknowledged", writers*each)
	}
	t.Logf("%d writes acknowledged, %d unknown, %d not done", len(versions), unknown, undone)
}

// kept is what a writer knows of a record of its own.
type kept struct {
	id           string
	acked, tried int64 // of the number in it: acknowledged, and the last that may have been written
	deleted      bool  // acknowledged
	maybeDeleted bool
}

func nodesFail(t *testing.T, nodes []*servertest.Server, backend db.Option) {
	_, tb, ns := open(t, backend)
	var done atomic.Int64
	stop := make(chan struct{})
	all := make([][]*kept, 8)
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end()
	goOn := func(what string) {
		t.Helper()
		before, limit := done.Load(), time.Now().Add(5*time.Minute)
		for done.Load() < before+50 {
			if time.Now().After(limit) {
				t.Fatalf("%d writes, want 50 in five minutes with %s", done.Load()-before, what)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	for w := range all {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := &kept{id: fmt.Sprintf("w%d-%d", w, i)}
				all[w] = append(all[w], k)
				write(t, tb, k, &done)
			}
		})
	}
	until := time.Now().Add(servertest.Chaos(t))
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		n := nodes[round%len(nodes)]
		how := []string{"killed", "stopped for a moment", "restarted"}[round%3]
		switch how {
		case "killed":
			n.Kill()
		case "stopped for a moment":
			n.Pause()
		default:
			n.Stop()
		}
		goOn("a node that was " + how)
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond) // the moments are the point
		if how == "stopped for a moment" {
			n.Resume()
		} else {
			n.Restart()
		}
		goOn("all nodes")
	}
	end()
	_, fresh := openIn(t, ns, backend)
	live, acked, lost := map[string]bool{}, 0, 0
	for _, ks := range all {
		for _, k := range ks {
			var r *db.Record
			var err error
			eventually(t, "reads work", func() bool {
				r, err = fresh.Read(t.Context(), k.id)
				return err == nil || errors.Is(err, db.ErrNotFound)
			})
			acked += int(k.acked)
			switch {
			case errors.Is(err, db.ErrNotFound):
				if k.acked > 0 && !k.maybeDeleted {
					t.Errorf("%s: %d was acknowledged, and it is gone", k.id, k.acked)
					lost++
				}
				continue
			case k.deleted:
				t.Errorf("%s: it was deleted, and is there: %+v", k.id, r)
				lost++
			}
			n, _ := r.Metadata["n"].(int64)
			if n < k.acked || n > k.tried {
				t.Errorf("%s: it has %d, and %d was acknowledged, %d tried", k.id, n, k.acked, k.tried)
				lost++
			}
			live[k.id] = true
		}
	}
	count := 0
	for r, err := range fresh.All(t.Context(), db.Where(db.Equal("kind", "chaos")), db.Limit(500)) {
		must(t, err)
		if !live[r.ID] {
			t.Errorf("%s is found, and was not there", r.ID)
		}
		count++
	}
	if count != len(live) {
		t.Errorf("a search finds %d of %d", count, len(live))
	}
	t.Logf("%d calls done, %d writes acknowledged, %d records live, %d lost", done.Load(), acked, len(live), lost)
}

// write creates a record, updates it a few times, and deletes every third. It gives up a
// record at the first error, after which it is not known what it has.
// done counts the calls that succeed.
func write(t *testing.T, tb db.Table, k *kept, done *atomic.Int64) {
	ctx := context.Background()
	try := func(what string, err error) (ok, maybe bool) {
		switch {
		case err == nil:
			done.Add(1)
			return true, true
		case errors.Is(err, db.ErrUnknownOutcome):
			return false, true
		case !errors.Is(err, db.ErrUnavailable):
			t.Errorf("%s of %s: %v, want ErrUnavailable or ErrUnknownOutcome", what, k.id, err)
		}
		return false, false
	}
	r := &db.Record{ID: k.id, Metadata: map[string]any{"kind": "chaos"}}
	for n := int64(1); n <= 4; n++ {
		r.Metadata["n"] = n
		what, do := "Update", func() error { return tb.Update(ctx, r) }
		if n == 1 {
			what, do = "Create", func() error { return tb.Create(ctx, r) }
		}
		ok, maybe := try(what, do())
		if maybe {
			k.tried = n
		}
		if !ok {
			return
		}
		k.acked = n
	}
	if strings.HasSuffix(k.id, "3") {
		k.deleted, k.maybeDeleted = try("Delete", tb.Delete(ctx, k.id))
	}
}
