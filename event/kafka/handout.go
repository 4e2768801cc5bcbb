package kafka

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a broker hands out in a session.

// take makes deliveries of what a fetch has brought.
func (s *session) take(ctx context.Context, t *topic, resp *kmsg.ShareFetchResponse) (ds []event.Delivered, err error) {
	if lock := time.Duration(resp.AcquisitionLockTimeoutMillis) * time.Millisecond; lock > 0 {
		s.m.locksLast(lock)
	}
	var gaps []lent
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			rp := &resp.Topics[i].Partitions[j]
			if e := kafka.Code(rp.ErrorCode); e != nil {
				s.m.d.forget(t.name)
				select { // the assignment may be another
				case s.m.hurry <- struct{}{}:
				default:
				}
				err = kafka.ReadError(e)
			}
			if len(rp.AcquiredRecords) == 0 {
				continue
			}
			var missing []lent
			var e error
			ds, missing, e = s.acquired(ds, t, rp)
			if e != nil {
				err = e
			}
			gaps = append(gaps, missing...)
		}
	}
	if len(gaps) > 0 {
		s.acknowledge(ctx, gaps, gap)
	}
	return ds, err
}

func (s *session) acquired(ds []event.Delivered, t *topic, rp *kmsg.ShareFetchResponseTopicPartition) ([]event.Delivered, []lent, error) {
	fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: rp.AcquiredRecords[0].FirstOffset, Topic: t.name, Partition: rp.Partition,
	}, &kmsg.FetchResponseTopicPartition{Partition: rp.Partition, RecordBatches: rp.Records}, kgo.DefaultDecompressor(), nil)
	if fp.Err != nil && len(fp.Records) == 0 {
		return ds, nil, fp.Err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var gaps []lent
	rs := fp.Records
	for _, a := range rp.AcquiredRecords {
		for len(rs) > 0 && rs[0].Offset < a.FirstOffset {
			rs = rs[1:]
		}
		for offset := a.FirstOffset; offset <= a.LastOffset; offset++ {
			tag := lent{s, s.life, place{rp.Partition, offset}}
			if len(rs) == 0 || rs[0].Offset != offset {
				if fp.Err == nil { // else it may be there, and could not be read
					gaps = append(gaps, tag)
				}
				continue
			}
			s.held[tag.place] = true
			d := delivered(rs[0], positionOf(len(t.leaders), rp.Partition, offset), int(a.DeliveryCount), tag)
			if d.Err == nil && d.Attempt >= s.m.limit {
				d.Err = errLastDelivery
			}
			ds = append(ds, d)
			rs = rs[1:]
		}
	}
	return ds, gaps, fp.Err
}

func delivered(m *kgo.Record, position string, attempt int, tag any) event.Delivered {
	r, err := record(m, position)
	return event.Delivered{Record: r, Attempt: attempt, Err: err, Tag: tag, Position: position}
}

// errLastDelivery sends a record to the dead letters that the broker would drop if
// it were given back.
var errLastDelivery = fault.Markf(fault.Exhausted, "the brokers hand it out no more often")
