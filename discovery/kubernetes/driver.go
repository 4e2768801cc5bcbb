package kubernetes

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
)

// driver implements discovery.Driver.
type driver struct {
	options
	c   *conn.Conn
	own bool // Close closes c

	mu    sync.Mutex
	views map[string]*view
	past  map[string]past   // by namespace, of those that were asked for and where something was seen
	wrote map[string]string // by namespace/slice: the version that this driver wrote last
}

// asked notes that a namespace is of interest.
func (d *driver) asked(namespace string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.past[namespace]; !ok {
		d.past[namespace] = past{}
	}
}

// Ping asks for the slices of the engine's namespace: it finds missing rights too.
func (d *driver) Ping(ctx context.Context) error { return d.alive(ctx, d.c.Namespace()) }

// Close ends what Watch began, after all sessions have.
func (d *driver) Close() error {
	if d.own {
		return d.c.Close()
	}
	return nil
}

// place returns where an entry's slice is.
func (d *driver) place(e discovery.Entry) (conn.Resource, string, error) {
	if !d.register {
		return conn.Resource{}, "", discovery.ErrUnsupported
	}
	t, err := d.where(e.Service)
	if err != nil {
		return conn.Resource{}, "", err
	}
	d.asked(t.Namespace)
	return endpointSlices.In(t.Namespace), sliceName(base(e.Service), e.ID), nil
}

// Register creates the slice, or replaces exactly the one that it has judged.
func (d *driver) Register(ctx context.Context, e discovery.Entry, replace func(held discovery.Entry) bool) error {
	r, name, err := d.place(e)
	if err != nil {
		return err
	}
	s, err := render(e)
	if err != nil {
		return err
	}
	for {
		// What this driver wrote last is most likely there still.
		s.ResourceVersion = d.last(r, name)
		if s.ResourceVersion == "" {
			err = d.write(r, name)(conn.Create(ctx, d.c, r, s))
			if !errors.Is(err, fault.Exists) {
				return err
			}
			held, err := conn.Get[endpointSlice](ctx, d.c, r, name)
			if errors.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if !d.mayReplace(held, e, replace) {
				return discovery.ErrExists
			}
			if held.AddressType != s.AddressType { // it can't be changed
				err = d.c.Delete(ctx, r, name, conn.Preconditions{UID: held.UID, ResourceVersion: held.ResourceVersion})
				if err != nil && !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotFound) {
					return err
				}
				continue
			}
			s.ResourceVersion = held.ResourceVersion
		}
		err = d.write(r, name)(conn.Update(ctx, d.c, r, s))
		if !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotFound) {
			return err
		}
	}
}

// skew is how wrong clocks may be before an instance is replaced that lives. It
// is the one place where another's clock counts: nobody has watched the entry.
const skew = time.Minute

func (d *driver) mayReplace(held *endpointSlice, e discovery.Entry, replace func(discovery.Entry) bool) bool {
	old, ours := entryOf(held)
	if !ours || old.Owner == e.Owner {
		return ours
	}
	if d.dead(held) {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, held.Annotations[heartbeatNote])
	return err == nil && time.Since(at) > 2*old.TTL+skew || replace(old)
}

// last returns the version that this driver wrote last, "" if it doesn't know.
func (d *driver) last(r conn.Resource, name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wrote[r.Namespace+"/"+name]
}

// write takes note of the answer to a write.
func (d *driver) write(r conn.Resource, name string) func(*endpointSlice, error) error {
	return func(s *endpointSlice, err error) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if err != nil {
			delete(d.wrote, r.Namespace+"/"+name)
			return err
		}
		d.wrote[r.Namespace+"/"+name] = s.ResourceVersion
		return nil
	}
}

// heartbeat is the patch of a heartbeat, which fails if the slice is not the one
// that was written last.
type heartbeat struct {
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// Renew writes the time into the slice. One that this driver didn't write last is
// read first.
func (d *driver) Renew(ctx context.Context, e discovery.Entry) error {
	r, name, err := d.place(e)
	if err != nil {
		return err
	}
	version := d.last(r, name)
	for {
		if version == "" {
			held, err := conn.Get[endpointSlice](ctx, d.c, r, name)
			if err != nil {
				return err
			}
			old, ours := entryOf(held)
			if !ours || old.Owner != e.Owner {
				return discovery.ErrExists
			}
			version = held.ResourceVersion
		}
		var doc heartbeat
		doc.Metadata.ResourceVersion, doc.Metadata.Annotations = version, map[string]string{heartbeatNote: beat()}
		err := d.write(r, name)(conn.MergePatch[endpointSlice](ctx, d.c, r, name, doc))
		if !errors.Is(err, fault.Conflict) {
			return err
		}
		version = ""
	}
}

// Deregister deletes the slice if it is the owner's.
func (d *driver) Deregister(ctx context.Context, e discovery.Entry) error {
	r, name, err := d.place(e)
	if err != nil {
		return err
	}
	for {
		held, err := conn.Get[endpointSlice](ctx, d.c, r, name)
		if errors.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return err
		}
		old, ours := entryOf(held)
		if !ours || old.Owner != e.Owner {
			break
		}
		err = d.c.Delete(ctx, r, name, conn.Preconditions{UID: held.UID, ResourceVersion: held.ResourceVersion})
		if err == nil || errors.Is(err, fault.NotFound) {
			break
		}
		if !errors.Is(err, fault.Conflict) {
			return err
		}
	}
	d.mu.Lock()
	delete(d.wrote, r.Namespace+"/"+name)
	d.mu.Unlock()
	return nil
}

// Services lists all namespaces; who may not lists those that this Discovery has
// to do with, as far as it may.
func (d *driver) Services(ctx context.Context) ([]string, error) {
	all, _, err := conn.List[endpointSlice](ctx, d.c, endpointSlices, conn.Selector{Labels: serviceLabel})
	if errors.Is(err, fault.Denied) {
		d.asked(d.c.Namespace())
		d.mu.Lock()
		namespaces := maps.Clone(d.past)
		for n := range d.views {
			namespaces[n] = past{}
		}
		d.mu.Unlock()
		for n := range namespaces {
			more, _, failed := conn.List[endpointSlice](ctx, d.c, endpointSlices.In(n), conn.Selector{Labels: serviceLabel})
			switch {
			case failed == nil:
				all, err = append(all, more...), nil
			case !errors.Is(failed, fault.Denied):
				return nil, failed
			}
		}
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range all {
		name := s.Labels[serviceLabel]
		if e, ours := entryOf(s); ours {
			if d.dead(s) {
				continue
			}
			name = base(e.Service)
		} else if len(s.Endpoints) == 0 {
			continue
		}
		names = append(names, s.Namespace+"/"+name)
		if s.Namespace == d.c.Namespace() {
			names = append(names, name)
		}
	}
	return names, nil
}

// dead reports whether a session has seen that a slice's owner expired.
func (d *driver) dead(s *endpointSlice) bool {
	d.mu.Lock()
	v := d.views[s.Namespace]
	d.mu.Unlock()
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.byName[s.Name]
	return h != nil && h.expired && h.beat == s.Annotations[heartbeatNote]
}
