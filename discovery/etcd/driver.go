package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
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

// never is a revision that no key has.
const never = -1

// driver implements discovery.Driver.
type driver struct {
	*conn.Conn
	poll   time.Duration
	leases *leases
}

// base is what the keys of a service begin with.
func base(service string) string {
	if !strings.Contains(service, "/") {
		service = "~/" + service
	}
	return root + service + "/"
}

// Register writes an entry in one transaction if nobody has the id, or if this
// driver wrote it last. Otherwise it reads who has it, and replaces exactly that.
func (d *driver) Register(ctx context.Context, e discovery.Entry, replace func(held discovery.Entry) bool) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	live, gone := base(e.Service)+"+"+e.ID, base(e.Service)+"-"+e.ID
	id, err := d.leases.get(ctx, e)
	if err != nil {
		return err
	}
	unchanged := clientv3.Compare(clientv3.CreateRevision(live), "=", 0)
	if last, ok := d.leases.last(e, live); ok {
		unchanged = clientv3.Compare(clientv3.ModRevision(live), "=", last.revision)
	}
	for {
		r, err := d.Txn(ctx).If(unchanged).
			Then(clientv3.OpPut(live, string(value), clientv3.WithLease(id)), clientv3.OpDelete(gone)).
			Else(clientv3.OpGet(live)).Commit()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) { // the registry has lost it; nothing was written
			id, err = d.leases.replace(ctx, e, id)
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			d.leases.failed(e)
			return conn.Fault(err, true)
		}
		if r.Succeeded {
			d.leases.wrote(ctx, e, live, written{owner: e.Owner, lease: id, revision: r.Header.Revision, once: e.Once})
			return nil
		}
		found := r.Responses[0].GetResponseRange().Kvs
		if len(found) == 0 {
			unchanged = clientv3.Compare(clientv3.CreateRevision(live), "=", 0)
			continue
		}
		var held discovery.Entry
		_ = json.Unmarshal(found[0].Value, &held) // what can't be read has no owner
		if held.Owner != e.Owner && !replace(held) {
			d.leases.forget(e, live)
			return discovery.ErrExists
		}
		unchanged = clientv3.Compare(clientv3.ModRevision(live), "=", found[0].ModRevision)
	}
}

func (d *driver) Renew(ctx context.Context, e discovery.Entry) error {
	key := base(e.Service) + "+" + e.ID
	if ok, err := d.leases.renew(ctx, e, key); ok || err != nil {
		return err
	}
	r, err := d.Get(ctx, key)
	if err != nil {
		return conn.Fault(err, false)
	}
	var held discovery.Entry
	if len(r.Kvs) > 0 && json.Unmarshal(r.Kvs[0].Value, &held) == nil && held.Owner != e.Owner {
		return discovery.ErrExists
	}
	return discovery.ErrNotFound
}

// Deregister leaves a trace, from which readers learn that this was no expiry.
func (d *driver) Deregister(ctx context.Context, e discovery.Entry) error {
	live, gone := base(e.Service)+"+"+e.ID, base(e.Service)+"-"+e.ID
	last, ok := d.leases.last(e, live)
	trace, err := d.trace(ctx)
	if err != nil {
		d.leases.forget(e, live)
		d.leases.failed(e)
		return err
	}
	own := clientv3.Compare(clientv3.ModRevision(live), "=", never)
	if ok {
		own = clientv3.Compare(clientv3.ModRevision(live), "=", last.revision)
	}
	for {
		r, err := d.Txn(ctx).If(own).
			Then(clientv3.OpDelete(live), clientv3.OpPut(gone, "", clientv3.WithLease(trace))).
			Else(clientv3.OpGet(live)).Commit()
		if err != nil {
			d.leases.forget(e, live)
			d.leases.failed(e)
			return conn.Fault(err, true)
		}
		if r.Succeeded {
			break
		}
		// Nobody's, another's, or ours from a write whose answer was lost.
		found := r.Responses[0].GetResponseRange().Kvs
		var held discovery.Entry
		if len(found) == 0 || json.Unmarshal(found[0].Value, &held) != nil || held.Owner != e.Owner {
			break
		}
		own = clientv3.Compare(clientv3.ModRevision(live), "=", found[0].ModRevision)
	}
	d.leases.forget(e, live)
	if e.Once && ok {
		_, _ = d.Revoke(ctx, last.lease) // else it ends by itself
	}
	return nil
}

// Close ends what open and Register began.
func (d *driver) Close() error {
	d.leases.end()
	return d.Conn.Close()
}

// trace returns the lease for traces of deregistrations, which live between
// half of goneFor and all of it.
func (d *driver) trace(ctx context.Context) (clientv3.LeaseID, error) {
	s, err := d.leases.lock(ctx, traces)
	if err != nil {
		return 0, err
	}
	defer s.unlock()
	if s.id != 0 && time.Since(s.sent) < goneFor/2 {
		if ok, err := d.RenewLease(ctx, s.id); ok || err != nil {
			return s.id, conn.Fault(err, false)
		}
	}
	sent := time.Now()
	s.id, err = d.leases.grant(ctx, goneFor)
	if err != nil {
		return 0, err
	}
	s.sent = sent
	return s.id, nil
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
