package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	etcdconn "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// cluster answers the requests of a cluster that is not there as a test says, one after
// the other of each kind, the last one again and again: an error, or what the kind has.
type cluster struct {
	grant, alive []any // the TTL in seconds
	txn          []any // *clientv3.TxnResponse
	get          []any // []*mvccpb.KeyValue
	del          []any // how many were deleted
	watch        []any // when something happens, or the watch ends: a time.Duration, negative for its end; 0: it does not even open

	mu   gosync.Mutex
	sent []string
	left int               // leases that were granted
	open []context.Context // of watches
}

// next takes an answer off a list.
func (c *cluster) next(what string, list *[]any) (say any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, what)
	if len(*list) == 0 {
		return nil, fmt.Errorf("no answer to %s", what)
	}
	say = (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	if f, ok := say.(func() any); ok {
		c.mu.Unlock()
		say = f()
		c.mu.Lock()
	}
	if err, ok := say.(error); ok {
		return nil, err
	}
	return say, nil
}

// requests are those since the last call.
func (c *cluster) requests() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := strings.Join(c.sent, " ")
	c.sent = nil
	return sent
}

// The client has an interface for each kind of request; what a test does not answer is in
// none of them.
type (
	keys struct {
		clientv3.KV
		*cluster
	}
	leases struct {
		clientv3.Lease
		*cluster
	}
	watches struct {
		clientv3.Watcher
		*cluster
	}
)

func (c leases) Grant(context.Context, int64) (*clientv3.LeaseGrantResponse, error) {
	ttl, err := c.next("grant", &c.grant)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left++
	return &clientv3.LeaseGrantResponse{ID: clientv3.LeaseID(c.left), TTL: int64(ttl.(int))}, nil
}

func (c leases) KeepAliveOnce(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	ttl, err := c.next(fmt.Sprint("alive", id), &c.alive)
	if err != nil {
		return nil, err
	}
	return &clientv3.LeaseKeepAliveResponse{ID: id, TTL: int64(ttl.(int))}, nil
}

func (c leases) Revoke(_ context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, fmt.Sprint("revoke", id))
	return nil, nil
}

func (c keys) Get(_ context.Context, key string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	say, err := c.next("get", &c.get)
	if err != nil {
		return nil, err
	}
	kvs := say.([]*mvccpb.KeyValue)
	return &clientv3.GetResponse{Header: &pb.ResponseHeader{Revision: 50}, Kvs: kvs, Count: int64(len(kvs))}, nil
}

func (c keys) Delete(_ context.Context, key string, _ ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	n, err := c.next("delete", &c.del)
	if err != nil {
		return nil, err
	}
	return &clientv3.DeleteResponse{Deleted: int64(n.(int))}, nil
}

// Watch opens at once.
func (c watches) Watch(ctx context.Context, _ string, _ ...clientv3.OpOption) clientv3.WatchChan {
	events := make(chan clientv3.WatchResponse, 2)
	say, err := c.next("watch", &c.watch)
	c.mu.Lock()
	c.open = append(c.open, ctx)
	c.mu.Unlock()
	if err != nil {
		events <- clientv3.WatchResponse{Canceled: true, CancelReason: err.Error()}
		return events
	}
	d := say.(time.Duration)
	if d != 0 {
		events <- clientv3.WatchResponse{Created: true}
	}
	switch {
	case d < 0:
		time.AfterFunc(-d, func() { close(events) })
	case d > 0:
		time.AfterFunc(d, func() { events <- clientv3.WatchResponse{} })
	}
	return events
}

func (c keys) Txn(context.Context) clientv3.Txn { return &txn{c: c.cluster} }

type txn struct {
	c    *cluster
	cmps int
}

func (t *txn) If(cmps ...clientv3.Cmp) clientv3.Txn { t.cmps = len(cmps); return t }
func (t *txn) Then(...clientv3.Op) clientv3.Txn     { return t }
func (t *txn) Else(...clientv3.Op) clientv3.Txn     { return t }
func (t *txn) Commit() (*clientv3.TxnResponse, error) {
	say, err := t.c.next(fmt.Sprint("txn", t.cmps), &t.c.txn)
	if err != nil {
		return nil, err
	}
	return say.(*clientv3.TxnResponse), nil
}

func (c *cluster) driver(t *testing.T) *driver {
	t.Helper()
	client := clientv3.NewCtxClient(context.Background())
	client.KV, client.Lease, client.Watcher = keys{cluster: c}, leases{cluster: c}, watches{cluster: c}
	conn, err := etcdconn.Open(etcdconn.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return &driver{conn: conn, leases: map[int64]*lease{}}
}

// kv is a claim's key: "name value revision lease".
func kv(text string) *mvccpb.KeyValue {
	var name, limit, owner string
	var revision, lease int64
	_, _ = fmt.Sscan(text, &name, &limit, &owner, &revision, &lease)
	return &mvccpb.KeyValue{Key: []byte("k/" + name), Value: []byte(limit + " " + owner), CreateRevision: revision, ModRevision: revision, Lease: lease}
}

func kvs(all ...string) (list []*mvccpb.KeyValue) {
	for _, text := range all {
		list = append(list, kv(text))
	}
	return list
}

// done is the answer to a transaction: whether its comparisons held, at revision 9, and
// what each of its last operations found.
func done(succeeded bool, found ...[]*mvccpb.KeyValue) *clientv3.TxnResponse {
	r := &clientv3.TxnResponse{Header: &pb.ResponseHeader{Revision: 9}, Succeeded: succeeded}
	for _, list := range found {
		r.Responses = append(r.Responses, &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: list, Count: int64(len(list))}}})
	}
	return r
}

var (
	errNoLeader = rpctypes.ErrNoLeader         // refused
	errRights   = rpctypes.ErrPermissionDenied // refused
	errOver     = rpctypes.ErrLeaseNotFound
	errCut      = errors.New("cut off") // nobody knows what became of it
)

var asked = dsync.Request{Key: "k", Owner: "me", Nonce: "n", TTL: 12 * time.Second, Limit: 1, Timeout: 10 * time.Second}

func TestAnswersToATry(t *testing.T) {
	mine, other := "1-0 1 me 9 1", "2-0 1 other 5 2"
	for what, c := range map[string]struct {
		limit           int
		grant, txn, del []any
		token           uint64
		err             error
		sent            string
		slots           int // of the key that are in use afterwards
	}{
		"free":                    {1, []any{12}, []any{done(true, kvs(mine))}, nil, 9, nil, "grant txn2", 1},
		"held":                    {1, []any{12}, []any{done(false, kvs(other))}, nil, 0, fault.Held, "grant txn2", 0},
		"a permit":                {2, []any{12}, []any{done(true, kvs("2-0 2 other 5 2", "1-0 2 me 9 1"))}, nil, 9, nil, "grant txn1", 1},
		"no permit":               {2, []any{12}, []any{done(true, kvs("2-0 2 other 5 2", "3-0 2 other 6 2"))}, []any{1}, 0, fault.Held, "grant txn1 delete", 0},
		"no permit, and it stays": {2, []any{12}, []any{done(true, kvs("2-0 2 other 5 2", "3-0 2 other 6 2"))}, []any{errCut}, 0, fault.UnknownOutcome, "grant txn1 delete", 1},
		"another limit":           {2, []any{12}, []any{done(true, kvs("2-0 3 other 5 2", "1-0 2 me 9 1"))}, []any{1}, 0, fault.Conflict, "grant txn1 delete", 0},
		"sent again":              {1, []any{12}, []any{done(false, kvs("1-0 1 me 7 1"))}, nil, 7, nil, "grant txn2", 1},
		"a lease that is over":    {1, []any{12}, []any{errOver, done(true, kvs("2-0 1 me 9 2"))}, nil, 9, nil, "grant txn2 grant txn2", 1},
		"no lease":                {1, []any{errNoLeader}, nil, nil, 0, fault.Unavailable, "grant", 0},
		"no answer to the lease":  {1, []any{errCut}, nil, nil, 0, fault.Unavailable, "grant", 0},
		"no answer in time":       {1, []any{context.Canceled}, nil, nil, 0, fault.Unavailable, "grant", 0},
		"no rights to it":         {1, []any{errRights}, nil, nil, 0, fault.Denied, "grant", 0},
		"refused":                 {1, []any{12}, []any{errNoLeader}, nil, 0, fault.Unavailable, "grant txn2", 0},
		"no rights":               {1, []any{12}, []any{errRights}, nil, 0, fault.Denied, "grant txn2", 0},
		"no answer":               {1, []any{12}, []any{errCut}, nil, 0, fault.UnknownOutcome, "grant txn2", 1},
	} {
		a := &cluster{grant: c.grant, txn: c.txn, del: c.del}
		d := a.driver(t)
		r := asked
		r.Limit = c.limit
		start := time.Now()
		g, err := d.Claim(r).Acquire(t.Context(), false)
		if g.Token != c.token || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v, want %d, %v", what, g, err, c.token, c.err)
		}
		if errors.Is(err, fault.Unavailable) != (c.err == fault.Unavailable) {
			t.Errorf("%s: %v is of two kinds", what, err)
		}
		if err == nil && (g.Until.Before(start.Add(r.TTL)) || g.Until.After(time.Now().Add(r.TTL))) {
			t.Errorf("%s: until %v", what, g.Until)
		}
		if c.err == fault.Held && c.limit == 1 && !strings.Contains(err.Error(), `owner "other", token 5`) {
			t.Errorf("%s: %v, want who holds it", what, err)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
		}
		used := 0
		for _, l := range d.leases {
			if s := l.slots["k"]; s != nil {
				used += s.next - len(s.free)
			}
		}
		if used != c.slots {
			t.Errorf("%s: %d names are in use, want %d", what, used, c.slots)
		}
	}
}

// A release deletes the key; one of a claim of which nobody knows whether it is there
// leaves a tombstone, and one without an answer keeps the name.
func TestAnswersToARelease(t *testing.T) {
	for what, c := range map[string]struct {
		acquired any
		say      any
		ago      time.Duration // of the last renewal
		err      error
		sent     string
		reused   bool
	}{
		"held":                 {done(true, kvs("1-0 1 me 9 1")), 1, 0, nil, "delete", true},
		"gone":                 {done(true, kvs("1-0 1 me 9 1")), 0, 0, dsync.ErrLost, "delete", false},
		"refused":              {done(true, kvs("1-0 1 me 9 1")), errNoLeader, 0, fault.Unavailable, "delete", false},
		"no answer":            {done(true, kvs("1-0 1 me 9 1")), errCut, 0, fault.UnknownOutcome, "delete", false},
		"no answer, soon over": {done(true, kvs("1-0 1 me 9 1")), errCut, 48 * time.Second, fault.UnknownOutcome, "delete", false},
		"no answer, long over": {done(true, kvs("1-0 1 me 9 1")), errCut, 49 * time.Second, dsync.ErrLost, "delete", false},
		"doubtful":             {errCut, done(true), 0, nil, "txn0", false},
		"doubtful, lease over": {errCut, errOver, 0, nil, "txn0", false},
		"doubtful, refused":    {errCut, errNoLeader, 0, fault.Unavailable, "txn0", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &cluster{grant: []any{12}, txn: []any{c.acquired, c.say}, del: []any{c.say}}
			d := a.driver(t)
			claim := d.Claim(asked)
			if err := claim.Release(t.Context()); err != nil || a.requests() != "" {
				t.Errorf("%s: a release before the first try: %v", what, err)
			}
			_, _ = claim.Acquire(t.Context(), false)
			a.requests()
			time.Sleep(c.ago)
			if err := claim.Release(t.Context()); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %v, want %v", what, err, c.err)
			}
			if sent := a.requests(); sent != c.sent {
				t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
			}
			l := d.leases[12]
			if reused := l.slots["k"] == nil; reused != c.reused {
				t.Errorf("%s: the name is given to others: %v", what, reused)
			}
		})
	}
	// A delete that may still be on its way must not meet another claim of this name.
	a := &cluster{grant: []any{12}, txn: []any{done(true, kvs("1-0 1 me 9 1"))}, del: []any{errCut, 1}}
	d := a.driver(t)
	claim := d.Claim(asked)
	_, err := claim.Acquire(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	_ = claim.Release(t.Context())
	if err := claim.Release(t.Context()); err != nil || d.leases[12].slots["k"] == nil {
		t.Errorf("the second release: %v, names %v", err, d.leases[12].slots)
	}
}

func TestAnswersToARenewal(t *testing.T) {
	for what, c := range map[string]struct {
		age   time.Duration
		alive any
		get   any
		err   error
		sent  string
	}{
		"young":               {time.Second, 12, kvs("1-0 1 me 9 1"), nil, "get"},
		"a sixth of its life": {2 * time.Second, 12, kvs("1-0 1 me 9 1"), nil, "alive1 get"},
		"the key is gone":     {time.Second, 12, kvs(), fault.Lost, "get"},
		"the lease is gone":   {2 * time.Second, errOver, kvs("1-0 1 me 9 1"), fault.Lost, "alive1"},
		"an outage":           {2 * time.Second, errNoLeader, kvs("1-0 1 me 9 1"), fault.Unavailable, "alive1"},
		"no answer":           {2 * time.Second, errCut, kvs("1-0 1 me 9 1"), fault.Unavailable, "alive1"},
		"an outage of a read": {2 * time.Second, 12, errNoLeader, fault.Unavailable, "alive1 get"},
		"no rights to read":   {2 * time.Second, 12, errRights, fault.Denied, "alive1 get"},
		"not over":            {12*time.Second - 1, 12, kvs("1-0 1 me 9 1"), nil, "alive1 get"},
		"over":                {12 * time.Second, 12, kvs("1-0 1 me 9 1"), fault.Lost, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &cluster{grant: []any{12}, txn: []any{done(true, kvs("1-0 1 me 9 1"))}, alive: []any{c.alive}, get: []any{c.get}}
			claim := a.driver(t).Claim(asked)
			g, err := claim.Acquire(t.Context(), false)
			if err != nil || !g.Until.Equal(time.Now().Add(12*time.Second)) {
				t.Fatal(g, err)
			}
			a.requests()
			time.Sleep(c.age)
			until, err := claim.Renew(t.Context())
			sent := a.requests()
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || sent != c.sent {
				t.Errorf("%s: %v after %q, want %v after %q", what, err, sent, c.err, c.sent)
			}
			want := g.Until
			if strings.HasPrefix(c.sent, "alive") {
				want = time.Now().Add(12 * time.Second)
			}
			if err == nil && !until.Equal(want) || err != nil && !until.IsZero() {
				t.Errorf("%s: until %v, want %v", what, until, want)
			}
		})
	}
}

// A claim moves from one lease to another, and back; what an answer that was lost has
// done is found out.
func TestAMoveToAnotherLease(t *testing.T) {
	for what, c := range map[string]struct {
		txn  []any
		err  error
		at   clientv3.LeaseID // the lease that it is attached to
		both bool             // or it may be attached to the other one
		sent string
	}{
		"moved":                 {[]any{done(true)}, nil, 2, false, "grant txn1"},
		"moved before":          {[]any{done(false, kvs("1-0 1 me 9 2"))}, nil, 2, false, "grant txn1"},
		"not moved before":      {[]any{done(false, kvs("1-0 1 me 9 1")), done(true)}, nil, 2, false, "grant txn1 txn1"},
		"deleted":               {[]any{done(false, kvs())}, fault.Lost, 1, true, "grant txn1"},
		"deleted and made":      {[]any{done(false, kvs("1-0 1 me 10 2"))}, fault.Lost, 1, true, "grant txn1"},
		"changed by another":    {[]any{done(false, kvs("1-0 1 me 9 7"))}, fault.Lost, 1, true, "grant txn1"},
		"no answer":             {[]any{errCut}, fault.UnknownOutcome, 1, true, "grant txn1"},
		"refused":               {[]any{errNoLeader}, fault.Unavailable, 1, true, "grant txn1"},
		"the other one is over": {[]any{errOver, done(true)}, nil, 3, false, "grant txn1 grant txn1"},
	} {
		a := &cluster{grant: []any{12, 4}, txn: append([]any{done(true, kvs("1-0 1 me 9 1"))}, c.txn...)}
		cl := a.driver(t).Claim(asked).(*claim)
		if _, err := cl.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		a.requests()
		err := cl.move(t.Context(), 4*time.Second)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
		}
		if cl.lease.id != c.at || (cl.other != nil) != c.both {
			t.Errorf("%s: at lease %d, maybe at %+v, want %d", what, cl.lease.id, cl.other, c.at)
		}
	}
	// Where it is already it needs no request; and without a lease to move to, none is sent.
	a := &cluster{grant: []any{12, errNoLeader}, txn: []any{done(true, kvs("1-0 1 me 9 1"))}}
	cl := a.driver(t).Claim(asked).(*claim)
	if _, err := cl.Acquire(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	a.requests()
	for ttl, want := range map[time.Duration]error{asked.TTL: nil, 4 * time.Second: fault.Unavailable} {
		err := cl.move(t.Context(), ttl)
		if !errors.Is(err, want) || strings.Contains(a.requests(), "txn") || cl.other != nil {
			t.Errorf("to %v: %v, want %v", ttl, err, want)
		}
	}
}

// The oldest claims of a key hold, so many as its limit says; List reads page by page.
func TestListOfClaims(t *testing.T) {
	key := func(name, value string, revision int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(name), Value: []byte(value), CreateRevision: revision}
	}
	all := []*mvccpb.KeyValue{
		key("s/n/lock/a/1-0", "1 x", 9), key("s/n/lock/a/2-0", "1 y", 7), key("s/n/lock/a!1-0", "", 3),
		key("s/n/semaphore/b/1-0", "2 x", 4), key("s/n/semaphore/b/1-1", "2 y", 6), key("s/n/semaphore/b/1-2", "2 z", 5),
	}
	want := []string{"s/n/lock/a y 7", "s/n/lock/a x waits", "s/n/semaphore/b x 4", "s/n/semaphore/b z 5", "s/n/semaphore/b y waits"}
	for what, c := range map[string]struct {
		get  []any
		most int
		want []string
		err  error
	}{
		"all":                {[]any{all}, 10, want, nil},
		"the first":          {[]any{all}, 1, want[:1], nil},
		"the first of b":     {[]any{all}, 3, want[:3], nil},
		"none":               {[]any{kvs()}, 10, nil, nil},
		"an outage":          {[]any{errNoLeader}, 10, nil, fault.Unavailable},
		"no answer":          {[]any{errCut}, 10, nil, fault.Unavailable},
		"no rights":          {[]any{errRights}, 10, nil, fault.Denied},
		"a cancelled caller": {[]any{context.Canceled}, 10, nil, context.Canceled},
	} {
		d := (&cluster{get: c.get}).driver(t)
		var got []string
		err := d.List(t.Context(), "s/n/", func(key string, h dsync.Hold) bool {
			text := fmt.Sprint(key, " ", h.Owner, " ", h.Token)
			if h.Waiting {
				text = strings.TrimSuffix(text, "0") + "waits"
			}
			got = append(got, text)
			return len(got) < c.most
		})
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) || errors.Is(err, fault.Unavailable) != (c.err == fault.Unavailable) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q, %v, want %q, %v", what, got, err, c.want, c.err)
		}
	}
}

func TestTheHolderThatEtcdNames(t *testing.T) {
	for _, c := range []struct {
		get  any
		want dsync.Candidate
		err  error
	}{
		{kvs("1-0 1 me 9 1"), dsync.Candidate{Owner: "me", Token: 9}, nil},
		{kvs(), dsync.Candidate{}, dsync.ErrNoLeader},
		{errNoLeader, dsync.Candidate{}, fault.Unavailable},
		{errRights, dsync.Candidate{}, fault.Denied},
	} {
		got, err := (&cluster{get: []any{c.get}}).driver(t).Holder(t.Context(), "k")
		if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%+v, %v, want %+v, %v", got, err, c.want, c.err)
		}
	}
}

// Leases are shared by TTL, granted again when they are over, and revoked at the end.
func TestLeasesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &cluster{grant: []any{12}, alive: []any{12}}
		d := a.driver(t)
		for _, c := range []struct {
			ttl   time.Duration
			sleep time.Duration
			id    clientv3.LeaseID
			sent  string
		}{
			{12 * time.Second, 0, 1, "grant"},
			{12 * time.Second, 6*time.Second - 1, 1, ""},
			{12 * time.Second, 1, 1, "alive1"}, // half of its life is over
			{5 * time.Second, 0, 2, "grant"},
			{12 * time.Second, 12*time.Second - 1, 1, "alive1"},
			{12 * time.Second, 12 * time.Second, 3, "grant"},
		} {
			time.Sleep(c.sleep)
			l, err := d.lease(t.Context(), c.ttl)
			if err != nil || l.id != c.id {
				t.Fatalf("%v after %v: lease %+v, %v, want %d", c.ttl, c.sleep, l, err, c.id)
			}
			if sent := a.requests(); sent != c.sent {
				t.Errorf("%v after %v: sent %q, want %q", c.ttl, c.sleep, sent, c.sent)
			}
		}
		a.alive = []any{errOver}
		time.Sleep(6 * time.Second)
		l, err := d.lease(t.Context(), 12*time.Second)
		if err != nil || l.id != 4 || a.requests() != "alive3 grant" {
			t.Errorf("one that the server does not know: %+v, %v", l, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if !l.over() {
			t.Error("a lease lives after Close")
		}
		sent := strings.Fields(a.requests())
		slices.Sort(sent)
		if got := strings.Join(sent, " "); got != "revoke2 revoke4" {
			t.Errorf("Close sent %s", got)
		}
		if _, err := d.lease(t.Context(), 12*time.Second); !errors.Is(err, fault.Closed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Names of a key are numbered, and used again once they are free.
func TestNamesAreUsedAgain(t *testing.T) {
	l := &lease{}
	if a, b, other := l.take("k"), l.take("k"), l.take("z"); a != 0 || b != 1 || other != 0 {
		t.Errorf("numbers %d, %d, %d", a, b, other)
	}
	l.give("k", 0)
	if n := l.take("k"); n != 0 {
		t.Errorf("number %d, want that which is free", n)
	}
	l.give("k", 1)
	if l.slots["k"] == nil {
		t.Error("forgotten while one is in use")
	}
	l.give("k", 0)
	if l.slots["k"] != nil || l.slots["z"] == nil {
		t.Errorf("names %v, want those of z alone", l.slots)
	}
}

// A look says whether the claim is there, whether it holds, and what is in its way.
func TestWhereAClaimStands(t *testing.T) {
	mine, again, other := "1-0 1 me 9 1", "1-0 1 me 7 1", "2-0 1 other 5 2"
	for what, c := range map[string]struct {
		limit int
		txn   []any
		want  place
		err   error
		sent  string
	}{
		"first":          {1, []any{done(true, kvs(mine), kvs(), kvs(mine))}, place{true, true, "k/"}, nil, "txn0"},
		"behind another": {1, []any{done(true, kvs(other), kvs(other), kvs(mine))}, place{true, false, "k/2-0"}, nil, "txn0"},
		"of two":         {2, []any{done(true, kvs(other), kvs(other), kvs(mine))}, place{true, false, "k/"}, nil, "txn0"},
		"gone":           {1, []any{done(true, kvs(other), kvs(other), kvs())}, place{false, false, "k/2-0"}, nil, "txn0"},
		"sent again":     {1, []any{done(true, kvs(again), kvs(), kvs(again)), done(true, kvs(again), kvs(), kvs(again))}, place{true, true, "k/"}, nil, "txn0 txn0"},
		"an outage":      {1, []any{errNoLeader}, place{}, fault.Unavailable, "txn0"},
		"no rights":      {1, []any{errRights}, place{}, fault.Denied, "txn0"},
	} {
		a := &cluster{txn: c.txn}
		r := asked
		r.Limit = c.limit
		cl := a.driver(t).Claim(r).(*claim)
		cl.enter(&lease{id: 1, ttl: r.TTL})
		cl.settle(9)
		got, err := cl.look(t.Context())
		if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v, want %+v, %v", what, got, err, c.want, c.err)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
		}
	}
}

// A claim that waits looks when the one before it goes, moves to a short lease after a
// while, keeps that, and rides out what its lease survives.
func TestAnswersToAWait(t *testing.T) {
	mine, other := "1-0 1 me 9 1", "2-0 1 other 5 2"
	queued := done(true, kvs(other))
	behind, first := done(true, kvs(other), kvs(other), kvs(mine)), done(true, kvs(mine), kvs(), kvs(mine))
	const ms = time.Millisecond
	for what, c := range map[string]struct {
		txn, watch []any
		grant      []any
		alive      []any
		err        error
		from, to   time.Duration
		sent       string // behind the place in the queue
	}{
		"its turn comes": {txn: []any{queued, behind, behind, first}, watch: []any{100 * ms}, from: 100 * ms, sent: "txn0 watch txn0 txn0"},
		"at once":        {txn: []any{queued, first}, sent: "txn0"},
		"later": {txn: []any{queued, behind, behind, done(true), first, done(true)}, watch: []any{time.Second}, grant: []any{12, 4}, from: time.Second,
			sent: "txn0 watch txn0 grant txn1 txn0 txn1"},
		"much later": {txn: []any{queued, behind, behind, done(true), behind, first, done(true)}, watch: []any{5 * time.Second}, grant: []any{12, 4}, alive: []any{4}, from: 5 * time.Second,
			sent: "txn0 watch txn0 grant txn1 alive2 alive2 txn0 txn0 txn1"},
		"the watch is dead": {txn: []any{queued, behind, behind, done(true), first, done(true)}, watch: []any{time.Hour}, grant: []any{12, 4}, alive: []any{4}, from: 4300 * ms,
			sent: "txn0 watch txn0 grant txn1 alive2 alive2 txn0 txn1"},
		"the watch ends":       {txn: []any{queued, behind, behind, first}, watch: []any{-100 * ms}, from: 150 * ms, sent: "txn0 watch txn0 txn0"},
		"the watch is refused": {txn: []any{queued, behind}, watch: []any{errRights}, err: fault.Denied, sent: "txn0 watch"},
		"an outage":            {txn: []any{queued, errNoLeader, first}, from: 50 * ms, sent: "txn0 txn0"},
		"a long one":           {txn: []any{queued, errNoLeader}, alive: []any{errNoLeader}, err: fault.Lost, from: 12 * time.Second, to: 14 * time.Second},
		"no rights":            {txn: []any{queued, errRights}, err: fault.Denied, sent: "txn0"},
		"its place is gone":    {txn: []any{queued, done(true, kvs(other), kvs(other), kvs())}, err: fault.Lost, sent: "txn0"},
		"the lease is gone":    {txn: []any{queued, behind, behind, done(true)}, watch: []any{time.Hour}, grant: []any{12, 4}, alive: []any{errOver}, err: fault.Lost, from: 2300 * ms, sent: "txn0 watch txn0 grant txn1 alive2"},
		"no place on another":  {txn: []any{queued, behind, behind, done(false, kvs())}, watch: []any{time.Hour}, grant: []any{12, 4}, err: fault.Lost, from: 300 * ms, sent: "txn0 watch txn0 grant txn1"},
		"not there when its turn comes": {txn: []any{queued, behind, behind, done(true), first, done(false, kvs())}, watch: []any{time.Second}, grant: []any{12, 4}, err: fault.Lost, from: time.Second,
			sent: "txn0 watch txn0 grant txn1 txn0 txn1"},
		"given up":                 {txn: []any{queued, behind, behind}, watch: []any{time.Hour}, err: context.Canceled, from: 200 * ms, sent: "txn0 watch txn0"},
		"given up after an outage": {txn: []any{queued, errNoLeader}, alive: []any{12}, err: context.Canceled, from: 200 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &cluster{grant: []any{12}, txn: c.txn, watch: c.watch, alive: c.alive}
			if c.grant != nil {
				a.grant = c.grant
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.err == context.Canceled {
				time.AfterFunc(c.from, cancel)
			}
			start := time.Now()
			g, err := a.driver(t).Claim(asked).Acquire(ctx, true)
			took := time.Since(start)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %v, want %v", what, err, c.err)
			}
			if err == nil && (g.Token != 9 || time.Until(g.Until) < 6*time.Second || time.Until(g.Until) > 12*time.Second) {
				t.Errorf("%s: %+v", what, g)
			}
			if took < c.from || took > max(c.from, c.to) {
				t.Errorf("%s: after %v, want %v to %v", what, took, c.from, max(c.from, c.to))
			}
			for _, watch := range a.open {
				if ctx.Err() == nil && watch.Err() == nil {
					t.Errorf("%s: a watch is open", what)
				}
			}
			if sent := a.requests(); c.sent != "" && sent != "grant txn1 "+c.sent {
				t.Errorf("%s: sent %s, want grant txn1 %s", what, sent, c.sent)
			}
		})
	}
}

// A watch looks when it opens, when something happens, and every 10 s; it ends when it
// may miss something.
func TestAnswersToAWatch(t *testing.T) {
	const second = time.Second
	me, nobody := kvs("1-0 1 me 9 1"), kvs()
	for what, c := range map[string]struct {
		watch any
		get   []any
		seen  string
		err   error
		from  time.Duration
	}{
		"told":             {second, []any{me, nobody, me}, "me 0s,  1s, me 10s, me 20s, ", context.Canceled, 25 * second},
		"it ends":          {-second, []any{me}, "me 0s, ", fault.Unavailable, second},
		"it is refused":    {errRights, []any{me}, "", fault.Denied, 0},
		"there is none":    {errNoLeader, []any{me}, "", fault.Unavailable, 0},
		"it does not open": {time.Duration(0), []any{me}, "", fault.Unavailable, 5 * second},
		"no look":          {second, []any{me, errCut}, "me 0s, ", fault.Unavailable, second},
		"no rights":        {second, []any{me, errRights}, "me 0s, ", fault.Denied, second},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := (&cluster{watch: []any{c.watch}, get: c.get}).driver(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.err == context.Canceled {
				time.AfterFunc(c.from, cancel)
			}
			start, seen := time.Now(), ""
			err := d.Watch(ctx, "k", func(c dsync.Candidate) { seen += fmt.Sprintf("%s %v, ", c.Owner, time.Since(start)) })
			if took := time.Since(start); !errors.Is(err, c.err) || errors.Is(err, fault.Unavailable) != (c.err == fault.Unavailable) || seen != c.seen || took != c.from {
				t.Errorf("%s: saw %s and %v after %v, want %s and %v after %v", what, seen, err, took, c.seen, c.err, c.from)
			}
		})
	}
}

// A caller that gave up hears of that, not of an outage.
func TestATryThatIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&cluster{grant: []any{context.Canceled}}).driver(t).Claim(asked).Acquire(ctx, false)
	if !errors.Is(err, context.Canceled) || errors.Is(err, fault.Unavailable) {
		t.Errorf("Acquire = %v, want cancelled alone", err)
	}
}

// A claim of which nobody knows which lease it is attached to lives as long as both.
func TestAClaimOfTwoLeases(t *testing.T) {
	for what, c := range map[string]struct {
		alive []any
		sent  string
		left  time.Duration
		err   error
	}{
		"both":            {[]any{12, 4}, "alive1 alive2", 4 * time.Second, nil},
		"the other way":   {[]any{3, 4}, "alive1 alive2", 3 * time.Second, nil},
		"one is gone":     {[]any{errOver}, "alive1", 0, fault.Lost},
		"the other one":   {[]any{12, errOver}, "alive1 alive2", 0, fault.Lost},
		"an outage of it": {[]any{12, errNoLeader}, "alive1 alive2", 0, fault.Unavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &cluster{alive: c.alive}
			d := a.driver(t)
			end := time.Now().Add(4 * time.Second)
			cl := d.Claim(asked).(*claim)
			cl.lease = &lease{d: d, id: 1, ttl: 12 * time.Second, sent: time.Now(), end: end.Add(8 * time.Second)}
			cl.other = &lease{d: d, id: 2, ttl: 4 * time.Second, sent: time.Now(), end: end}
			if !cl.until().Equal(end) || !earlier(end, end.Add(1)).Equal(end) || !earlier(end.Add(1), end).Equal(end) {
				t.Errorf("%s: until %v, want %v", what, cl.until(), end)
			}
			if cl.past() {
				t.Errorf("%s: over too early", what)
			}
			time.Sleep(4*time.Second - 1)
			cl.lease.sent = cl.lease.sent.Add(-3 * time.Second)
			until, err := cl.renew(t.Context(), 2)
			if sent := a.requests(); sent != c.sent || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %v after %s, want %v after %s", what, err, sent, c.err, c.sent)
			}
			if err == nil && !until.Equal(time.Now().Add(c.left)) {
				t.Errorf("%s: for %v, want %v", what, time.Until(until), c.left)
			}
		})
	}
}

// On its own lease a waiter renews three times in its life, on the short one twice.
func TestHowOftenAWaiterRenews(t *testing.T) {
	for _, c := range []struct{ ttl, lease, want time.Duration }{
		{12 * time.Second, 12 * time.Second, 4 * time.Second}, {12 * time.Second, waitTTL, 2 * time.Second}, {3 * time.Second, 3 * time.Second, time.Second},
	} {
		cl := &claim{Request: dsync.Request{TTL: c.ttl}, lease: &lease{ttl: c.lease}}
		if got := cl.keepEvery(); got != c.want {
			t.Errorf("a TTL of %v on a lease of %v: every %v, want %v", c.ttl, c.lease, got, c.want)
		}
	}
}

// Claims that want one lease at a time make one request, and each hears what came of it,
// unless it gives up before.
func TestOneRequestForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &cluster{grant: []any{func() any { time.Sleep(time.Second); return 12 }}}
		d := a.driver(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		got := make(chan error, 3)
		for range 2 {
			go func() { _, err := d.lease(t.Context(), 12*time.Second); got <- err }()
		}
		synctest.Wait()
		go func() { _, err := d.lease(ctx, 12*time.Second); got <- err }()
		if err := <-got; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gave up: %v", err)
		}
		for range 2 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		if sent := a.requests(); sent != "grant" {
			t.Errorf("sent %s, want one", sent)
		}
	})
}

// Who is granted in an outage has what is left of its lease.
func TestAGrantInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, other := "1-0 1 me 9 1", "2-0 1 other 5 2"
		behind, first := done(true, kvs(other), kvs(other), kvs(mine)), done(true, kvs(mine), kvs(), kvs(mine))
		a := &cluster{
			grant: []any{3}, alive: []any{errNoLeader}, watch: []any{time.Hour, 600 * time.Millisecond},
			txn: []any{done(true, kvs(other)), behind, behind, behind, behind, first},
		}
		r := asked
		r.TTL = 3 * time.Second
		end := time.Now().Add(r.TTL)
		g, err := a.driver(t).Claim(r).Acquire(t.Context(), true)
		if err != nil || g.Token != 9 || !g.Until.Equal(end) || time.Until(end) > r.TTL/2 {
			t.Errorf("%+v, %v with %v left, want until %v", g, err, time.Until(end), end)
		}
	})
	if err := held(nil); !errors.Is(err, dsync.ErrHeld) { // by one that is gone meanwhile
		t.Errorf("held by nobody: %v", err)
	}
}
