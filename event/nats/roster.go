package nats

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/nats-io/nats.go/jetstream"
)

// attendee is what the bucket has about a member of a divided group, under
// "m.<group>.<member>". It lasts from when the server has stored it.
type attendee struct {
	Consumer string `json:"consumer"`
	TTL      int64  `json:"ttl"` // in ms
}

// Attend writes the member's entry and reads those of all. Every time is the server's,
// that of storing an entry, and the newest one is now.
func (d *driver) Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error) {
	kv, err := d.groups(ctx)
	if err != nil {
		return nil, err
	}
	all := "m." + groupKey(group) + "."
	mine := all + groupKey(consumer)
	if ttl > 0 {
		value, _ := json.Marshal(attendee{consumer, ttl.Milliseconds()})
		if _, err := kv.Put(ctx, mine, value); err != nil {
			return nil, nats.WriteError(err)
		}
	} else if err := d.forget(ctx, kv, mine); err != nil {
		return nil, err
	}
	w, err := kv.Watch(ctx, all+"*", jetstream.IgnoreDeletes())
	if err != nil {
		return nil, nats.ReadError(err)
	}
	defer w.Stop()
	var entries []jetstream.KeyValueEntry
	var now time.Time
	for {
		select {
		case e, ok := <-w.Updates():
			if ok && e != nil {
				entries = append(entries, e)
				if e.Created().After(now) {
					now = e.Created()
				}
				continue
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		break
	}
	var names []string
	for _, e := range entries {
		var a attendee
		err := json.Unmarshal(e.Value(), &a)
		if err == nil && e.Created().Add(time.Duration(a.TTL)*time.Millisecond).After(now) {
			names = append(names, a.Consumer)
		} else if err := d.forget(ctx, kv, e.Key()); err != nil { // nobody else would
			return nil, err
		}
	}
	slices.Sort(names)
	return names, nil
}

// forget removes an entry without a trace: names of members are used once, and the
// marks of deleted keys would stay.
func (d *driver) forget(ctx context.Context, kv jetstream.KeyValue, key string) error {
	s, err := d.js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return nats.ReadError(err)
	}
	return nats.WriteError(s.Purge(ctx, jetstream.WithPurgeSubject("$KV."+kv.Bucket()+"."+key)))
}
