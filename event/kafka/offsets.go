package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// offsets is one of kadm's List…Offsets of a topic, as a vector.
func (d *driver) offsets(ctx context.Context, name string, partitions int, list func(ctx context.Context) (kadm.ListedOffsets, error)) (v vector, err error) {
	err = again(ctx, func() (err error) {
		v, err = listed(ctx, name, partitions, list)
		return err
	})
	return v, kafka.ReadError(err)
}

// again repeats what changes nothing, or no more when repeated, while a broker
// answers that another one, or a later time, is right.
func again(ctx context.Context, ask func() error) error {
	for try := 0; ; try++ {
		err := ask()
		if err == nil || try == maxTries || ctx.Err() != nil || !stale(err) &&
			!is(err, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try+1) * 20 * time.Millisecond):
		}
	}
}

func listed(ctx context.Context, name string, partitions int, list func(ctx context.Context) (kadm.ListedOffsets, error)) (vector, error) {
	offsets, err := list(ctx)
	if err != nil {
		return nil, first(err)
	}
	v := make(vector, partitions)
	for p := range v {
		o, ok := offsets.Lookup(name, int32(p))
		if !ok {
			if o, ok = offsets.Lookup(name, -1); ok && o.Err != nil {
				return nil, o.Err
			}
			return nil, kerr.UnknownTopicOrPartition
		}
		if o.Err != nil {
			return nil, o.Err
		}
		v[p] = o.Offset
	}
	return v, nil
}

// first returns what the first of several brokers said.
func first(err error) error {
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		return shards.Errs[0].Err
	}
	return err
}

// ends returns where the partitions end for readers.
func (d *driver) ends(ctx context.Context, t *topic) (vector, error) {
	return d.offsets(ctx, t.name, len(t.leaders), func(ctx context.Context) (kadm.ListedOffsets, error) {
		return d.admin.ListCommittedOffsets(ctx, t.name)
	})
}

// starts returns where the partitions begin.
func (d *driver) starts(ctx context.Context, t *topic) (vector, error) {
	return d.offsets(ctx, t.name, len(t.leaders), func(ctx context.Context) (kadm.ListedOffsets, error) {
		return d.admin.ListStartOffsets(ctx, t.name)
	})
}

// since returns the first offsets of a time or later. Kafka counts milliseconds;
// what was published in the same one is not missed.
func (d *driver) since(ctx context.Context, t *topic, at time.Time) (vector, error) {
	return d.offsets(ctx, t.name, len(t.leaders), func(ctx context.Context) (kadm.ListedOffsets, error) {
		return d.admin.ListOffsetsAfterMilli(ctx, max(at.UnixMilli(), 0), t.name)
	})
}

// locate returns what reading begins with.
func (d *driver) locate(ctx context.Context, t *topic, p event.Position) (vector, error) {
	switch p.Kind {
	case event.AtEnd:
		return d.ends(ctx, t)
	case event.AtTime:
		return d.since(ctx, t, p.Time)
	case event.AfterPosition:
		a, err := parse(p.ID)
		if err != nil {
			return nil, err
		}
		return d.whole(ctx, t, a)
	}
	return make(vector, len(t.leaders)), nil
}

// whole completes a position: partitions that it does not know are read from
// their beginning, and beside one record of a group from its time on.
func (d *driver) whole(ctx context.Context, t *topic, a after) (vector, error) {
	v := make(vector, len(t.leaders))
	if a.partition < 0 {
		if len(a.next) > len(v) {
			return nil, fault.Markf(fault.Invalid, "position of %d partitions, the topic has %d", len(a.next), len(v))
		}
		copy(v, a.next)
		return v, nil
	}
	if a.partition >= len(v) {
		return nil, fault.Markf(fault.Invalid, "position of partition %d, the topic has %d", a.partition, len(v))
	}
	p, offset := int32(a.partition), a.next[0]-1
	got, err := d.fetch(ctx, d.conn.Client, t.name, map[int32]int64{p: offset}, 1, 0)
	if err != nil {
		return nil, err
	}
	if rs := got[p].records; len(rs) > 0 {
		if v, err = d.since(ctx, t, rs[0].Timestamp); err != nil {
			return nil, err
		}
	}
	v[p] = offset + 1
	return v, nil
}

// Behind counts what is after a position.
func (d *driver) Behind(ctx context.Context, position string) (int64, error) {
	t, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	v, err := d.locate(ctx, t, event.After(position))
	if err != nil {
		return 0, err
	}
	ends, err := d.ends(ctx, t)
	if err != nil {
		return 0, err
	}
	return behind(v, ends), nil
}

func behind(v, ends vector) (n int64) {
	for p, end := range ends {
		n += max(end-v.at(p), 0)
	}
	return n
}
