package kubernetes

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn/kubernetes"
	dsync "github.com/micro/go-platform/sync"
)

// managedBy is the label of the Leases that this package makes, keyOf the
// annotation that says what for.
const (
	managedBy = "app.kubernetes.io/managed-by"
	keyOf     = "go-platform/key"
)

// List implements Lister of sync/driver. A Lease that has ended by the times in it
// is left out: unlike the locks, this depends on the machines' clocks. Leases keep
// no queue.
func (d *driver) List(ctx context.Context, prefix string, yield func(string, dsync.Hold) bool) error {
	all, _, err := kubernetes.List[lease](ctx, d.conn, d.leases, kubernetes.Selector{Labels: managedBy + "=go-platform"})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range all {
		key := l.Annotations[keyOf]
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		seen[l.Name] = true
		if h, ok := l.hold(time.Now()); ok && !yield(key, h) {
			return nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.names)) { // whose Lease another program may have made, or another namespace
		if seen[d.names[id]] {
			continue
		}
		l, err := d.get(ctx, listTimeout, d.names[id])
		if err != nil {
			return err
		}
		if h, ok := l.hold(time.Now()); ok && !yield(prefix+string(dsync.KindLeader)+"/"+id, h) {
			return nil
		}
	}
	return nil
}

// listTimeout bounds a request of List whose caller's context does not.
const listTimeout = 5 * time.Second

// hold is what the Lease says of its holder; false if it has none, or none any more.
func (l *lease) hold(now time.Time) (h dsync.Hold, ok bool) {
	if l.holder() == "" {
		return h, false
	}
	owner, nonce := split(l.holder())
	h.Owner = owner
	if nonce != "" {
		h.Token = l.token(nonce)
	}
	h.Since, _ = time.Parse(microTime, text(l.Spec.Acquired))
	renewed, err := time.Parse(microTime, text(l.Spec.Renewed))
	if err != nil {
		return h, true
	}
	h.Until = renewed.Add(l.duration())
	return h, h.Until.After(now)
}
