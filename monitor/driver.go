package monitor

import (
	"context"
	"time"
)

// Report is what an instance publishes of itself.
type Report struct {
	Status   Status        `json:"status"`
	Stats    Stats         `json:"stats"`
	Was      string        `json:"was,omitempty"` // the id under which the process reported before Identify
	Seq      uint64        `json:"seq"`           // grows with each report of a process
	Interval time.Duration `json:"interval"`      // until the next one, about
	TTL      time.Duration `json:"ttl"`           // how long it counts
	At       time.Time     `json:"at"`            // the sender's clock: to show, not to compare
}

// Driver carries reports between processes. To write one:
//
//  1. Publish makes r the newest report of r.Status.Instance.ID, for about
//     r.TTL. It may be called concurrently with Watch, never with itself.
//  2. Watch calls f with the reports that are known, then with each new one,
//     until ctx ends or the backend fails, and returns why. f is called one
//     call at a time and returns soon. Reports may come twice or be skipped
//     if a newer one of the same instance follows. The monitor calls Watch
//     again after it failed.
//  3. Expiry is not reported: the monitor measures how long ago it heard of
//     an instance.
//  4. Ping asks the server once.
//  5. Close releases what the driver made itself, not what its user gave it.
//     No call is in progress at Close, and none comes after.
type Driver interface {
	Publish(ctx context.Context, r Report) error
	Watch(ctx context.Context, f func(Report)) error
	Ping(ctx context.Context) error
	Close() error
}
