package cassandra

import (
	"context"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// driver is a keyspace with tables.
type driver struct {
	c        config
	sessions sessions
	ensuring chan struct{} // holds one value while somebody makes a table
	turns    turns

	mu     sync.RWMutex
	tables map[string]*table // by the name that db gives; those that Ensure has seen
}

func newDriver(c config) *driver {
	return &driver{
		c: c, sessions: sessions{c: c, life: life.New(), dial: newDialer(dialTimeout), log: logger{c.log}, session: c.client},
		ensuring: make(chan struct{}, 1), tables: map[string]*table{},
	}
}

func (d *driver) Features() db.Features {
	return db.Features{
		Durable: true, Shared: true, AnyKey: true, Compare: true, Prefix: true, Exists: true,
		OrderEqual: true, Count: true, Immediate: true,
	}
}

func (d *driver) Ping(ctx context.Context) error {
	q, err := d.query(ctx, "SELECT release_version FROM system.local")
	if err != nil {
		return err
	}
	return readError(q.Consistency(gocql.One).ExecContext(ctx))
}

func (d *driver) Close() error {
	d.sessions.close()
	return nil
}

// table returns a table that Ensure has made.
func (d *driver) table(name string) (*table, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.tables[name]; t != nil {
		return t, nil
	}
	return nil, fault.Markf(db.ErrInvalid, "table %q was not opened", name)
}

// query returns a statement that reads, or that does no harm when it is done
// twice.
func (d *driver) query(ctx context.Context, text string, args ...any) (*gocql.Query, error) {
	s, err := d.sessions.get(ctx)
	if err != nil {
		return nil, err
	}
	q := s.Query(text, args...).Consistency(d.c.consistency).Idempotent(true)
	return q.RetryPolicy(otherNode{}), nil
}

// otherNode asks one other node when one does not answer.
type otherNode struct{}

func (otherNode) Attempt(q gocql.RetryableQuery) bool { return q.Attempts() <= 1 }

func (otherNode) GetRetryType(err error) gocql.RetryType {
	if answered(err) {
		return gocql.Rethrow
	}
	return gocql.RetryNextHost
}

// parallel calls f for 0 to n-1, some at a time, and returns the first error.
func parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if n == 1 {
		return f(ctx, 0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg     sync.WaitGroup
		next   = make(chan int)
		once   sync.Once
		failed error
	)
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := f(ctx, i); err != nil {
					once.Do(func() { failed = err; cancel() })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if failed != nil {
		return failed
	}
	return ctx.Err()
}

// atOnce is how many statements of one call are on their way at a time.
const atOnce = 32
