package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Timestamps that ask for something else than a time.
const (
	atEnd   = -1
	atStart = -2
)

// offsets asks the leaders of a topic's partitions for the offsets of a timestamp;
// -1 where there is none. It knows of leaders what known does, since the client's own
// knowledge may be seconds old.
func (d *driver) offsets(ctx context.Context, t *topic, timestamp int64) (v vector, err error) {
	err = again(ctx, func() (err error) {
		v, err = listed(ctx, d.conn.Client, t, timestamp)
		if err == nil || !stale(err) {
			return err
		}
		d.forget(t.name)
		now, e := d.known(ctx, t.name)
		if e != nil {
			return e
		}
		if len(now.leaders) != len(t.leaders) {
			return fault.Markf(fault.Unavailable, "topic %s was made again, or has more partitions", t.name)
		}
		t = now
		return err
	})
	return v, kafka.ReadError(err)
}

func listed(ctx context.Context, client *kgo.Client, t *topic, timestamp int64) (vector, error) {
	byLeader := map[int32][]kmsg.ListOffsetsRequestTopicPartition{}
	for p, leader := range t.leaders {
		if leader < 0 {
			return nil, errNoLeader
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = int32(p), timestamp
		byLeader[leader] = append(byLeader[leader], rp)
	}
	v := make(vector, len(t.leaders))
	for leader, parts := range byLeader {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.IsolationLevel = -1, 1
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic, rt.Partitions = t.name, parts
		req.Topics = append(req.Topics, rt)
		answer, err := client.Broker(int(leader)).Request(ctx, req)
		if err != nil {
			return nil, err
		}
		n := 0
		for _, at := range answer.(*kmsg.ListOffsetsResponse).Topics {
			for _, rp := range at.Partitions {
				if err := kafka.Code(rp.ErrorCode); err != nil {
					return nil, err
				}
				if int(rp.Partition) < len(v) {
					v[rp.Partition] = rp.Offset
					n++
				}
			}
		}
		if n < len(parts) {
			return nil, errNoLeader
		}
	}
	return v, nil
}

// again repeats what changes nothing, or no more when repeated, while a broker
// answers that another one, or a later time, is right.
func again(ctx context.Context, ask func() error) error {
	for try := 0; ; try++ {
		err := ask()
		// A connection dies when somebody's context ends during a request on it.
		repeat := stale(err) || kgo.IsRetryableBrokerErr(err) || kafka.Is(err, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator)
		if !repeat || try == maxTries {
			return err
		}
		if backoff.Sleep(ctx, time.Duration(try+1)*20*time.Millisecond) != nil {
			return err
		}
	}
}

// first returns what the first of several brokers said.
func first(err error) error {
	shards, ok := errors.AsType[*kadm.ShardErrors](err)
	if ok && len(shards.Errs) > 0 {
		return shards.Errs[0].Err
	}
	return err
}

// ends returns where the partitions end for readers: at the last stable offset.
func (d *driver) ends(ctx context.Context, t *topic) (vector, error) { return d.offsets(ctx, t, atEnd) }

// starts returns where the partitions begin.
func (d *driver) starts(ctx context.Context, t *topic) (vector, error) {
	return d.offsets(ctx, t, atStart)
}

// since returns the first offsets of a time or later. Kafka counts milliseconds;
// what was published in the same one is not missed.
func (d *driver) since(ctx context.Context, t *topic, at time.Time) (vector, error) {
	v, err := d.offsets(ctx, t, max(at.UnixMilli(), 0))
	if err != nil || !slices.Contains(v, -1) {
		return v, err
	}
	ends, err := d.ends(ctx, t) // nothing is as late
	for p := range v {
		if v[p] < 0 {
			v[p] = ends.at(p)
		}
	}
	return v, err
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
	got, err := d.fetch(ctx, t.name, map[int32]int64{p: offset}, 1)
	if err != nil {
		return nil, err
	}
	if rs := got[p].records; len(rs) > 0 {
		v, err = d.since(ctx, t, rs[0].Timestamp)
		if err != nil {
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
