package kafka

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// part is what is there of one partition from an offset on.
type part struct {
	records []*kgo.Record
	next    int64 // to read on from
	end     int64 // what is before it can be read: the last stable offset
	outside bool  // the log does not have the offset: retention, or a topic that was made again
}

// The bytes that one fetch brings of a partition, and of all.
const (
	partBytes  = 1 << 20
	fetchBytes = 8 << 20
)

var readCommitted = kgo.ReadCommitted()

// fetch reads what is there in partitions of a topic from offsets on, with one request
// for each broker.
func (d *driver) fetch(ctx context.Context, name string, from map[int32]int64, bytes int) (map[int32]part, error) {
	for try := 0; ; try++ {
		t, err := d.known(ctx, name)
		if err != nil {
			return nil, err
		}
		got, err := fetchFrom(ctx, d.conn.Client, t, from, bytes, 0)
		if err == nil {
			return got, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !stale(err) && !kgo.IsRetryableBrokerErr(err) || try == maxTries {
			return nil, kafka.ReadError(err)
		}
		d.forget(name)
		if err := backoff.Sleep(ctx, time.Duration(try+1)*20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// maxTries is how often a fetch asks where a partition is: about two seconds.
const maxTries = 12

// stale reports whether an error says that the partition is elsewhere.
func stale(err error) bool {
	return kafka.Is(err,
		kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID, kerr.LeaderNotAvailable,
		kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.ReplicaNotAvailable, kerr.KafkaStorageError, errNoLeader,
	)
}

var errNoLeader = fault.Markf(fault.Unavailable, "a partition has no leader")

// fetchFrom asks each broker once, which waits up to wait for anything to be there.
func fetchFrom(ctx context.Context, client *kgo.Client, t *topic, from map[int32]int64, bytes int, wait time.Duration) (map[int32]part, error) {
	byLeader := map[int32][]int32{}
	for p := range from {
		if int(p) >= len(t.leaders) || t.leaders[p] < 0 {
			return nil, errNoLeader
		}
		byLeader[t.leaders[p]] = append(byLeader[t.leaders[p]], p)
	}
	type answer struct {
		got map[int32]part
		err error
	}
	answers := make(chan answer, len(byLeader))
	for leader, ps := range byLeader {
		ask := func() {
			got, err := fetchAt(ctx, client, leader, t, ps, from, bytes, wait)
			answers <- answer{got, err}
		}
		if len(byLeader) == 1 {
			ask()
		} else {
			go ask()
		}
	}
	all := make(map[int32]part, len(from))
	var failed error
	for range byLeader {
		a := <-answers
		if a.err != nil {
			failed = a.err
		}
		maps.Copy(all, a.got)
	}
	return all, failed
}

// fetchAt asks one broker.
func fetchAt(ctx context.Context, client *kgo.Client, leader int32, t *topic, ps []int32, from map[int32]int64, bytes int, wait time.Duration) (map[int32]part, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, fetchBytes
	req.IsolationLevel, req.SessionEpoch = 1, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = t.name, t.id
	for _, p := range ps {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, from[p], int32(bytes)
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	answer, err := client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kafka.Code(resp.ErrorCode); err != nil {
		return nil, err
	}
	got := make(map[int32]part, len(ps))
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			rp := &resp.Topics[i].Partitions[j]
			err := kafka.Code(rp.ErrorCode)
			if errors.Is(err, kerr.OffsetOutOfRange) {
				got[rp.Partition] = part{next: from[rp.Partition], outside: true}
				continue
			}
			if err != nil {
				return nil, err
			}
			fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
				Offset: from[rp.Partition], IsolationLevel: readCommitted, Topic: t.name, Partition: rp.Partition,
			}, rp, kgo.DefaultDecompressor(), nil)
			if fp.Err != nil && len(fp.Records) == 0 {
				return nil, fp.Err
			}
			got[rp.Partition] = part{records: fp.Records, next: max(next, from[rp.Partition]), end: rp.LastStableOffset}
		}
	}
	if len(got) < len(ps) {
		return nil, errNoLeader
	}
	return got, nil
}
