package sql

import (
	"context"
	"time"
)

// Rows of who is gone are kept for a while, for readers that were cut off.
const (
	keepGone   = "600000" // milliseconds
	cleanEvery = time.Minute
)

// clean removes old rows behind a registration, now and then.
func (d *driver) clean() {
	last, now := d.cleaned.Load(), time.Now().UnixNano()
	if now-last < int64(cleanEvery) || !d.cleaned.CompareAndSwap(last, now) {
		return
	}
	d.cleaning.Go(func() {
		ctx, cancel := context.WithTimeout(d.cleaner, time.Minute)
		defer cancel()
		_ = d.cleanOld(ctx) // what is left is removed another time
	})
}

func (d *driver) cleanOld(ctx context.Context) error {
	for _, s := range []string{
		"DELETE FROM discovery_instances WHERE gone > 0 AND gone < NOW - " + keepGone,
		"DELETE FROM discovery_leases WHERE until < NOW - " + keepGone,
		"DELETE FROM discovery_instances WHERE gone = 0 AND NOT EXISTS (SELECT 1 FROM discovery_leases l WHERE l.id = discovery_instances.lease)",
	} {
		_, err := d.exec(ctx, s)
		if err != nil {
			return err
		}
	}
	return nil
}
