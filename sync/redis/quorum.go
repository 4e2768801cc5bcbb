package redis

import (
	"context"
	"errors"
	"fmt"
	gosync "sync"
	"sync/atomic"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	redisconn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// Quorum selects servers that know nothing of each other, of which more than
// half must grant a lock: three survive the loss of one, five of two. They must
// not be replicas of each other. See the package comment for what it promises.
func Quorum(addrs ...string) dsync.Option {
	connects := make([]func() (*redisconn.Client, error), len(addrs))
	for i, addr := range addrs {
		connects[i] = func() (*redisconn.Client, error) { return redisconn.Open(redisconn.Config{Address: addr}) }
	}
	return openQuorum(connects)
}

// QuorumOn is Quorum of the servers that engines are connected to, which it leaves
// open.
func QuorumOn(engines ...*engine.Engine) dsync.Option {
	connects := make([]func() (*redisconn.Client, error), len(engines))
	for i, e := range engines {
		connects[i] = e.Conn
	}
	return openQuorum(connects)
}

func openQuorum(connects []func() (*redisconn.Client, error)) dsync.Option {
	return dsync.WithDriver("redis", func(context.Context) (dsync.Driver, error) {
		if len(connects) < 3 || len(connects)%2 == 0 {
			return nil, fmt.Errorf("%d servers, want an odd number of at least 3", len(connects))
		}
		q := &quorum{need: len(connects)/2 + 1}
		seen := map[any]bool{}
		for _, connect := range connects {
			client, err := connect()
			var server any
			if err == nil {
				server = client.Addr()
				if !client.Owned() { // a client that was given says no address
					server = client.UniversalClient
				}
				if seen[server] {
					err = errors.Join(errors.New("one server is named twice"), client.Close())
				}
			}
			if err != nil {
				_ = q.Close()
				return nil, err
			}
			seen[server] = true
			q.nodes = append(q.nodes, newNode(client))
		}
		return q, nil
	})
}

type quorum struct {
	nodes   []*node
	need    int
	running gosync.WaitGroup // requests that nobody waits for any more
	refused atomic.Int64     // when a claim was last refused, in ns
}

// crowded reports whether several are likely to try at once.
func (q *quorum) crowded() bool {
	return time.Since(time.Unix(0, q.refused.Load())) < time.Second
}

func (q *quorum) Features() dsync.Features {
	// A server may take a quarter of the TTL to answer.
	return dsync.Features{MinTTL: 100 * time.Millisecond, TTLStep: time.Millisecond}
}

// vote is what one server says.
type vote[T any] struct {
	at  int
	say T
	err error
}

// ask asks all servers at once and returns the votes when enough says so, or
// when all have answered. A server that is slow is not waited for.
func ask[T any](q *quorum, f func(at int, n *node) (T, error), enough func(votes []vote[T]) bool) []vote[T] {
	c := make(chan vote[T], len(q.nodes))
	for i, n := range q.nodes {
		q.running.Go(func() {
			say, err := f(i, n)
			c <- vote[T]{i, say, err}
		})
	}
	var votes []vote[T]
	for len(votes) < len(q.nodes) {
		votes = append(votes, <-c)
		if enough(votes) {
			break
		}
	}
	return votes
}

// detachable returns a context that ends with ctx until detach is called. The
// caller's context often ends when enough servers have answered, and would take
// the request to a slower one, and its connection, with it.
func detachable(ctx context.Context) (run context.Context, detach func() bool) {
	if ctx.Done() == nil {
		return ctx, func() bool { return false }
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	detach = context.AfterFunc(ctx, stop)
	if d, ok := ctx.Deadline(); ok {
		run = &bounded{run, d}
	}
	return run, detach
}

// count counts votes of a kind.
func count[T any](votes []vote[T], is func(v vote[T]) bool) (n int) {
	for _, v := range votes {
		if is(v) {
			n++
		}
	}
	return n
}

func yes(v vote[bool]) bool          { return v.err == nil && v.say }
func no(v vote[bool]) bool           { return v.err == nil && !v.say }
func answered[T any](v vote[T]) bool { return v.err == nil }
func denied[T any](v vote[T]) bool   { return errors.Is(v.err, fault.Denied) }

// errs joins the errors of votes.
func errs[T any](votes []vote[T]) error {
	var all []error
	for _, v := range votes {
		if v.err != nil {
			all = append(all, v.err)
		}
	}
	return errors.Join(all...)
}

// lacking is the error of a call for which too few servers answered.
func lacking[T any](kind error, votes []vote[T]) error {
	if count(votes, denied) > len(votes)/2 {
		kind = fault.Denied
	}
	return fault.Markf(kind, "too few of the servers answer: %v", errs(votes)) // not wrapped: one's kind is not that of all
}

func (q *quorum) Ping(ctx context.Context) error {
	votes := ask(q, func(_ int, n *node) (bool, error) { return true, n.conn.Ping(ctx) },
		func(v []vote[bool]) bool { return count(v, yes) >= q.need })
	if count(votes, yes) < q.need {
		return lacking(fault.Unavailable, votes)
	}
	return nil
}

// Advice implements sync.Adviser.
func (q *quorum) Advice(ctx context.Context) string {
	for _, n := range q.nodes {
		if advice := n.advice(ctx); advice != "" {
			return advice
		}
	}
	return ""
}

func (q *quorum) Close() error {
	q.running.Wait()
	var all []error
	for _, n := range q.nodes {
		all = append(all, n.close())
	}
	return errors.Join(all...)
}

func (q *quorum) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	c, _, err := q.holder(ctx, key)
	if err == nil && c.Token == 0 {
		err = dsync.ErrNoLeader
	}
	return c, err
}

// holder is who holds at more than half of the servers.
func (q *quorum) holder(ctx context.Context, key string) (dsync.Candidate, time.Duration, error) {
	type held struct {
		by   dsync.Candidate
		left time.Duration
	}
	ctx, detach := detachable(ctx)
	defer detach()
	agreed := func(votes []vote[held]) (held, bool) {
		for _, v := range votes {
			if v.err == nil && count(votes, func(w vote[held]) bool { return w.err == nil && w.say.by == v.say.by }) >= q.need {
				return v.say, true
			}
		}
		return held{}, false
	}
	votes := ask(q, func(_ int, n *node) (held, error) {
		by, left, err := n.holder(bound(ctx, requestLimit), key)
		return held{by, left}, err
	}, func(v []vote[held]) bool { _, ok := agreed(v); return ok })
	if h, ok := agreed(votes); ok {
		return h.by, h.left, nil
	}
	if count(votes, answered[held]) < q.need {
		return dsync.Candidate{}, 0, lacking(fault.Unavailable, votes)
	}
	return dsync.Candidate{}, 0, nil
}

// listen joins the channel of all servers.
func (q *quorum) listen(channel string) (messages <-chan string, leave func()) {
	all := make(chan string, 1)
	stop := make(chan struct{})
	var wg gosync.WaitGroup
	for _, n := range q.nodes {
		s := n.hub.join(channel)
		wg.Go(func() {
			defer s.leave()
			for {
				select {
				case m := <-s.messages:
					replace(all, m)
				case <-stop:
					return
				}
			}
		})
	}
	return all, func() { close(stop); wg.Wait() }
}

func (q *quorum) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	messages, leave := q.listen(key)
	defer leave()
	return watch(ctx, messages, key, q.holder, report)
}
