package rabbitmq

import (
	"context"
	"encoding/json"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	amqp "github.com/rabbitmq/amqp091-go"
)

// group is an entry of the stream of groups, in which the first of two that make a
// group wins: all processes read them in the same order.
type group struct {
	Deleted   bool     `json:"deleted,omitempty"`
	Name      string   `json:"name"`
	ID        string   `json:"id"` // tells it from an earlier group of the name
	Types     []string `json:"types,omitempty"`
	After     int64    `json:"after"`          // where it began
	Mark      []byte   `json:"mark,omitempty"` // of the record there, as in a cursor
	Exclusive bool     `json:"exclusive,omitempty"`
}

// registry is what a process has read of that stream.
type registry struct {
	mu     mutex.Mutex
	after  int64
	groups map[string]group // by name
}

func newRegistry() *registry {
	return &registry{after: -1, groups: map[string]group{}}
}

// known reads on, and calls see with all groups that there are.
func (d *driver) known(ctx context.Context, see func(groups map[string]group)) error {
	r := d.registry
	err := r.mu.Lock(ctx)
	if err != nil {
		return err
	}
	defer r.mu.Unlock()
	const limit = 4096
	for {
		// It begins with what it has read: of a page with that, all has come.
		all, err := d.page(ctx, d.names.groups, max(r.after, 0), limit)
		if rabbitmq.Missing(err) {
			r.after, r.groups = -1, map[string]group{}
			err = d.make(ctx, d.names.groups, d.registryArgs())
		}
		if err != nil {
			return err
		}
		for i := range all {
			r.read(&all[i])
		}
		if len(all) < limit {
			see(r.groups)
			return nil
		}
	}
}

func (r *registry) read(m *amqp.Delivery) {
	if position(m) <= r.after {
		return
	}
	r.after = position(m)
	var g group
	if json.Unmarshal(m.Body, &g) != nil || g.Name == "" {
		return // somebody else's
	}
	has, ok := r.groups[g.Name]
	switch {
	case g.Deleted && ok && has.ID == g.ID:
		delete(r.groups, g.Name)
	case !g.Deleted && !ok:
		r.groups[g.Name] = g
	}
}

// current returns a group as it is now.
func (d *driver) current(ctx context.Context, name string) (g group, ok bool, err error) {
	err = d.known(ctx, func(groups map[string]group) { g, ok = groups[name] })
	return g, ok, err
}

// note adds an entry.
func (d *driver) note(ctx context.Context, g group) error {
	body, err := json.Marshal(g)
	if err != nil {
		return err
	}
	ch, err := d.out.channel(ctx, d.found)
	if err != nil {
		return err
	}
	return ch.put(ctx, d.names.groups, body)
}

// declareGroup makes a group's queue and cursor unless they are there.
func (d *driver) declareGroup(ctx context.Context, g group) error {
	if err := d.make(ctx, d.names.cursor(g), d.cursorArgs()); err != nil {
		return err
	}
	return d.make(ctx, d.names.queue(g), d.queueArgs(g))
}

// lag counts what a group has not been handed: what waits in its queue, and what is
// not yet there. What this process's members hold is pending; of others' the server
// does not say.
func (d *driver) lag(ctx context.Context, g group) (event.Lag, error) {
	ready, err := d.ready(ctx, d.names.queue(g))
	if err != nil && !rabbitmq.Missing(err) {
		return event.Lag{}, err
	}
	at, err := d.fed(ctx, g)
	if err != nil {
		return event.Lag{}, err
	}
	end, err := d.end(ctx)
	if err != nil {
		return event.Lag{}, err
	}
	var lag event.Lag
	d.mu.Lock()
	for m := range d.members {
		if m.group.ID == g.ID {
			lag.Pending += int64(m.pending())
		}
	}
	d.mu.Unlock()
	lag.Behind = int64(ready) + max(end-at.after, 0)
	return lag, nil
}

func deleted(name string) error { return fault.Markf(fault.NotFound, "group %q was deleted", name) }
