package outlet_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/outlet"
)

func TestMain(m *testing.M) { leak.Main(m) }

// list is a Store of numbers, in batches of most items; each number has its own size.
type list struct {
	most  int
	wait  []item
	taken int // batches that Done has not taken back
}

type item struct{ id, bytes int }

func (l *list) Add(id, bytes int) { l.wait = append(l.wait, item{id, bytes}) }
func (l *list) Take() ([]item, outlet.Count) {
	n := min(l.most, len(l.wait))
	b := l.wait[:n:n]
	l.wait = l.wait[n:]
	l.taken++
	return b, count(b)
}
func (l *list) Rest(b []item, n int) ([]item, int) { return b[n:], int(count(b[:n]).Bytes) }
func (l *list) Done([]item)                        { l.taken-- }

func count(b []item) (c outlet.Count) {
	for _, i := range b {
		c.Items++
		c.Bytes += uint64(i.bytes)
	}
	return c
}

// receiver takes what comes, or does what its function says.
type receiver struct {
	do func(ctx context.Context, b []item) outlet.Result

	mu     sync.Mutex
	got    []item
	calls  []time.Time
	sizes  []int
	closed int
	told   []outlet.Trouble
}

func (r *receiver) send(ctx context.Context, b []item) outlet.Result {
	r.mu.Lock()
	r.calls, r.sizes = append(r.calls, time.Now()), append(r.sizes, len(b))
	do := r.do
	r.mu.Unlock()
	result := outlet.Result{Sent: len(b)}
	if do != nil {
		result = do(ctx, b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, b[:min(max(result.Sent, 0), len(b))]...)
	return result
}

func (r *receiver) ids() (ids []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.got {
		ids = append(ids, i.id)
	}
	return ids
}

// becomes changes what the receiver does from now on.
func (r *receiver) becomes(do func(ctx context.Context, b []item) outlet.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.do = do
}

func (r *receiver) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
	return nil
}

func (r *receiver) tell(t outlet.Trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, t)
}

// heard returns what was told since it was last called.
func (r *receiver) heard() []outlet.Trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.told
	r.told = nil
	return told
}

func (r *receiver) closes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// times are those of the attempts.
func (r *receiver) times() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

// down is what a receiver answers that is unavailable.
func down(context.Context, []item) outlet.Result {
	return outlet.Result{Err: fault.Markf(fault.Unavailable, "refused")}
}

// open starts an outlet to r, after change has seen its configuration.
func open(r *receiver, change func(c *outlet.Config[int, []item])) (*outlet.Outlet[int, []item], *outlet.Group) {
	l := &list{most: 10}
	c := outlet.Config[int, []item]{
		Name: "test/x", Items: 100, BatchItems: 10, Age: time.Second, Timeout: 10 * time.Second,
		Retry: backoff.Policy{Min: 100 * time.Millisecond, Max: 10 * time.Second}, Grace: time.Second,
		Store: l, Send: r.send, Close: r.close,
		Tell: r.tell,
	}
	if change != nil {
		change(&c)
	}
	o := outlet.New(c)
	g := outlet.NewGroup("test", "things")
	g.Members = []outlet.Member{o}
	o.Start()
	return o, g
}

func push(o *outlet.Outlet[int, []item], from, n int) {
	for i := range n {
		o.Push(from+i, 1, false)
	}
}

// balanced checks that every item is in one of the counts.
func balanced(t testing.TB, s outlet.Stats, pushed outlet.Count) {
	t.Helper()
	sum := func(all ...outlet.Count) (c outlet.Count) {
		for _, x := range all {
			c.Items += x.Items
			c.Bytes += x.Bytes
		}
		return c
	}
	if got := sum(s.Accepted, s.Full, s.Closed); got != pushed {
		t.Fatalf("accepted and dropped are %+v of %+v: %+v", got, pushed, s)
	}
	if got := sum(s.Sent, s.Refused, s.Failed, s.Unsent, s.Queued); got != s.Accepted {
		t.Fatalf("%+v are accounted for of %+v accepted: %+v", got, s.Accepted, s)
	}
}
