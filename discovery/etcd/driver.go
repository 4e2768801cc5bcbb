package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/etcd"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// root is where all keys are.
const root = "discovery/"

// goneFor is how long a deregistration is remembered, for readers that were
// cut off when it happened.
const goneFor = 10 * time.Minute

// driver implements discovery.Driver.
type driver struct {
	*conn.Conn
	poll time.Duration

	mu     sync.Mutex
	leases map[string]lease // of what was registered here, by key
	gone   lease            // of the traces of deregistrations
}

type lease struct {
	id  clientv3.LeaseID
	ttl time.Duration
	at  time.Time // when it was granted
}

// base is what the keys of a service begin with.
func base(service string) string {
	if !strings.Contains(service, "/") {
		service = "~/" + service
	}
	return root + service + "/"
}

func (d *driver) Register(ctx context.Context, in discovery.Instance, ttl time.Duration) error {
	value, err := json.Marshal(in)
	if err != nil {
		return err
	}
	live, gone := base(in.Service)+"+"+in.ID, base(in.Service)+"-"+in.ID
	d.mu.Lock()
	l, have := d.leases[live]
	d.mu.Unlock()
	if have && l.ttl == ttl {
		// The same lease, from the start again, unless it has ended.
		if have, err = d.renew(ctx, l.id); err != nil {
			return err
		}
	} else {
		have = false
	}
	if !have {
		if l, err = d.grant(ctx, ttl); err != nil {
			return err
		}
	}
	_, err = d.Txn(ctx).Then(clientv3.OpPut(live, string(value), clientv3.WithLease(l.id)), clientv3.OpDelete(gone)).Commit()
	if err != nil {
		return conn.Fault(err, true)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases[live] = l
	return nil
}

// grant asks for a new lease. Without one nothing has been registered, so a
// lost answer is Unavailable: the lease itself is nothing.
func (d *driver) grant(ctx context.Context, ttl time.Duration) (lease, error) {
	r, err := d.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return lease{}, conn.Fault(err, false)
	}
	return lease{r.ID, ttl, time.Now()}, nil
}

// renew reports false if the lease has ended.
func (d *driver) renew(ctx context.Context, id clientv3.LeaseID) (bool, error) {
	_, err := d.KeepAliveOnce(ctx, id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return false, nil
	}
	return err == nil, conn.Fault(err, false)
}

func (d *driver) Renew(ctx context.Context, in discovery.Instance, _ time.Duration) error {
	key := base(in.Service) + "+" + in.ID
	d.mu.Lock()
	l, ok := d.leases[key]
	d.mu.Unlock()
	if !ok {
		return discovery.ErrNotFound
	}
	if ok, err := d.renew(ctx, l.id); err != nil {
		return err
	} else if !ok {
		return discovery.ErrNotFound
	}
	// The lease may live and the key be gone.
	r, err := d.Get(ctx, key, clientv3.WithCountOnly())
	if err != nil {
		return conn.Fault(err, false)
	}
	if r.Count == 0 {
		return discovery.ErrNotFound
	}
	return nil
}

func (d *driver) Deregister(ctx context.Context, service, id string) error {
	live, gone := base(service)+"+"+id, base(service)+"-"+id
	trace, err := d.trace(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	l, ok := d.leases[live]
	delete(d.leases, live)
	d.mu.Unlock()
	_, err = d.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(live), ">", 0)).
		Then(clientv3.OpDelete(live), clientv3.OpPut(gone, "", clientv3.WithLease(trace))).Commit()
	if err != nil {
		return conn.Fault(err, true)
	}
	if ok {
		_, _ = d.Revoke(ctx, l.id) // else it ends by itself
	}
	return nil
}

// trace returns the lease for traces of deregistrations, which live between
// half of goneFor and all of it.
func (d *driver) trace(ctx context.Context) (clientv3.LeaseID, error) {
	d.mu.Lock()
	l := d.gone
	d.mu.Unlock()
	if l.id != 0 && time.Since(l.at) < goneFor/2 {
		if ok, err := d.renew(ctx, l.id); ok || err != nil {
			return l.id, err
		}
	}
	l, err := d.grant(ctx, goneFor)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = l
	return l.id, nil
}

func (d *driver) Services(ctx context.Context) ([]string, error) {
	r, err := d.Get(ctx, root, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, conn.Fault(err, false)
	}
	var names []string
	for _, kv := range r.Kvs {
		service, id, ok := cut(string(kv.Key))
		if ok && id[0] == '+' && (len(names) == 0 || names[len(names)-1] != service) {
			names = append(names, service)
		}
	}
	return names, nil
}

// cut splits a key into the service and what follows, which isn't empty.
func cut(key string) (service, id string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, root), "/")
	if len(parts) != 3 || parts[2] == "" {
		return "", "", false
	}
	service = parts[0] + "/" + parts[1]
	return strings.TrimPrefix(service, "~/"), parts[2], true
}
