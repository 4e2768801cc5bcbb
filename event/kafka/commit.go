package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit tells Kafka where the turns are. That it accepts it shows that they are
// this member's.
func (m *ordered) commit(ctx context.Context) error {
	err := m.commits.Lock(ctx)
	if err != nil {
		return fault.Mark(fault.Unavailable, err)
	}
	defer m.commits.Unlock()
	t, err := m.d.stream(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = m.d.kafkaGroup(m.group)
	req.MemberID, req.Generation = m.client.GroupMetadata()
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = t.name, t.id // not what kgo's member knows: the topic may have been made again
	m.mu.Lock()
	for p, turn := range m.turns {
		if turn.begun {
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			text := turn.text()
			rp.Partition, rp.Offset, rp.Metadata = p, turn.floor, &text
			rt.Partitions = append(rt.Partitions, rp)
		}
	}
	m.mu.Unlock()
	if len(rt.Partitions) == 0 {
		return nil
	}
	req.Topics = append(req.Topics, rt)
	sent := time.Now()
	resp, failed := req.RequestWith(ctx, m.d.conn.Client)
	if failed == nil {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if e := kafka.Code(p.ErrorCode); e != nil {
					failed = e
				}
			}
		}
	}
	if stale(failed) {
		m.d.forget(t.name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case failed == nil:
		m.until = sent.Add(m.session * 9 / 10)
	case errors.Is(failed, kerr.IllegalGeneration), errors.Is(failed, kerr.UnknownMemberID), errors.Is(failed, kerr.FencedInstanceID):
		// kgo learns of it with its next heartbeat, and joins again.
		m.again()
		return fault.Mark(fault.Unavailable, failed)
	}
	return kafka.WriteError(failed)
}
