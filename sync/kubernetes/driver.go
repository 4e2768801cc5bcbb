package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	dsync "github.com/micro/go-platform/sync"
)

type driver struct {
	conn   *kubernetes.Conn
	own    bool // Close closes conn
	leases kubernetes.Resource
	names  map[string]string // of the Leases of elections, by id

	sights sights
	idle   *idle
	life   *life.Life
}

func newDriver(c *kubernetes.Conn, own bool, names map[string]string) *driver {
	d := &driver{conn: c, own: own, leases: leases.In(c.Namespace()), names: names, life: life.New()}
	d.idle = &idle{life: d.life, remove: d.remove}
	return d
}

func (d *driver) Features() dsync.Features {
	return dsync.Features{Durable: true, MinTTL: time.Second, TTLStep: time.Second}
}

// Ping asks for what locks need, and thereby for the right to it: a Lease of
// this name need not be there.
func (d *driver) Ping(ctx context.Context) error {
	if err := d.conn.Ping(ctx); err != nil {
		return err
	}
	_, err := kubernetes.Get[lease](ctx, d.conn, d.leases, "sync-ping")
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (d *driver) Close() error {
	d.life.Close(nil)
	if d.own {
		return d.conn.Close()
	}
	return nil
}

// nameOf returns the Lease of a key.
func (d *driver) nameOf(key string) string {
	kind, _, id := parts(key)
	if name := d.names[id]; name != "" && kind == string(dsync.KindLeader) {
		return name
	}
	return leaseName(key)
}

func (d *driver) Claim(r dsync.Request) dsync.Claim {
	return &claim{Request: r, d: d, name: d.nameOf(r.Key), identity: identity(r.Owner, r.Nonce)}
}

// get returns a Lease, nil if there is none.
func (d *driver) get(ctx context.Context, timeout time.Duration, name string) (*lease, error) {
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l, err := kubernetes.Get[lease](call, d.conn, d.leases, name)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return l, d.unanswered(ctx, err)
}

// create makes a Lease that nobody holds.
func (d *driver) create(ctx context.Context, timeout time.Duration, name, key string) (*lease, error) {
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := &lease{}
	l.Name = name
	l.Labels = map[string]string{managedBy: "go-platform"}
	l.Annotations = map[string]string{keyOf: key}
	made, err := kubernetes.Create(call, d.conn, d.leases, l)
	if errors.Is(err, fault.UnknownOutcome) { // nothing is held by it
		err = fault.Markf(fault.Unavailable, "make the Lease %s: %w", name, errors.New(err.Error()))
	}
	return made, d.unanswered(ctx, err)
}

// update writes a Lease that has not changed since.
func (d *driver) update(ctx context.Context, timeout time.Duration, l *lease) (*lease, error) {
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	got, err := kubernetes.Update(call, d.conn, d.leases, l)
	return got, d.unanswered(ctx, err)
}

// remove deletes a Lease that has not changed since.
func (d *driver) remove(ctx context.Context, l *lease) error {
	return d.conn.Delete(ctx, d.leases, l.Name, kubernetes.Preconditions{UID: l.UID, ResourceVersion: l.ResourceVersion})
}

// unanswered gives the end of a request's own time its kind.
func (d *driver) unanswered(ctx context.Context, err error) error {
	if err != nil && fault.KindOf(err) == context.DeadlineExceeded && ctx.Err() == nil {
		return fault.Mark(fault.Unavailable, fmt.Errorf("no answer in time from %s: %w", d.conn.Address(), err))
	}
	return err
}
