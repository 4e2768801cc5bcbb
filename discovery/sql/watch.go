package sql

import (
	"context"
	"encoding/json"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn/sql"
)

// confirm is how often a session that has nothing to report says so.
const confirm = 5 * time.Second

// Watch reads the service, and again whenever its stripe has changed or one of
// its leases has ended.
func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	d.tail.Join()
	defer d.tail.Leave()
	call, cancel := context.WithTimeout(ctx, readTime)
	seen, err := d.counts(call)
	cancel()
	if err != nil {
		return sql.Unanswered(ctx, err)
	}
	stripe := sql.StripeOf(service)
	for {
		a, err := d.read(ctx, service)
		if err != nil {
			return err
		}
		deliver(a.Update)
		changed := func(now sql.Counts, later bool) bool {
			return now[stripe] > seen[stripe] || now[stripe] < seen[stripe] && later || d.ends.of(a.leases) // less: data were lost
		}
		seen, err = d.follow(ctx, changed, deliver)
		if err != nil {
			return err
		}
	}
}

// follow waits for a change, and says at times that there is none.
func (d *driver) follow(ctx context.Context, changed func(now sql.Counts, later bool) bool, deliver func(discovery.Update)) (sql.Counts, error) {
	for {
		quiet, cancel := context.WithTimeout(ctx, confirm)
		now, err := d.tail.Wait(quiet, changed)
		over := quiet.Err() != nil && ctx.Err() == nil
		cancel()
		if err != nil && over { // the next answer tells that nothing has changed
			now, err = d.tail.Wait(ctx, func(_ sql.Counts, later bool) bool { return later })
			if err == nil && !changed(now, true) {
				deliver(discovery.Update{Same: true})
				continue
			}
		}
		if err != nil {
			err = sql.Unanswered(ctx, err)
		}
		return now, err
	}
}

// readTime is how long a read may take before the database counts as unavailable.
const readTime = 5 * time.Second

// answer is one reading of a service.
type answer struct {
	discovery.Update
	leases map[string]bool // of its instances
}

func (d *driver) read(parent context.Context, service string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(parent, readTime)
	defer cancel()
	ttls, gone := map[string]time.Duration{}, map[string]discovery.Fate{}
	a = answer{discovery.Update{
		Instances: []discovery.Instance{},
		TTL:       func(id string) time.Duration { return ttls[id] },
		// A row is kept for longer than any reader needs it: of what has none, the
		// database has lost it.
		Fate: func(id string) discovery.Fate {
			if f := gone[id]; f != discovery.Unknown {
				return f
			}
			return discovery.Lost
		},
	}, map[string]bool{}}
	err = d.rows(ctx, "SELECT i.id, i.entry, i.gone, i.lease, COALESCE(l.until, 0), NOW FROM discovery_instances i LEFT JOIN discovery_leases l ON l.id = i.lease WHERE i.service = ?",
		[]any{service}, func(scan func(...any) error) error {
			var (
				id, text, lease   string
				left, until, asOf int64
				e                 discovery.Entry
			)
			err := scan(&id, &text, &left, &lease, &until, &asOf)
			switch {
			case err != nil:
				return err
			case left > 0:
				gone[id] = discovery.Deregistered
			case until <= asOf:
				gone[id] = discovery.Expired
			case json.Unmarshal([]byte(text), &e) == nil && e.ID == id: // else it isn't of this package
				a.Instances = append(a.Instances, e.Instance)
				ttls[id] = e.TTL
				if !a.leases[lease] {
					a.leases[lease] = true
					d.ends.expect(until, asOf)
				}
			}
			return nil
		})
	return a, sql.Unanswered(parent, err)
}
